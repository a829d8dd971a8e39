"""Several devices on one memory, and keys: what a person does, and what they are told."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from server.api_keys import editing

from .conftest import FREED_SECONDS, Browser, Service, Visit, eventually, lookback

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "keys.json"


@pytest.fixture(scope="module")
def key(keys_file: Path) -> str:
    """An API key that may do everything."""
    with editing(keys_file) as file:
        return str(file.create("page", frozenset({"publish", "ask", "manage"})))


@pytest.fixture(scope="module")
def guarded(keys_file: Path, key: str) -> Iterator[Service]:
    """`lookback serve` for those who have a key."""
    keys = {"LOOKBACK_API_KEYS_FILE": str(keys_file)}
    with lookback("serve", "--port", "0", says=r"ready: (http\S+)", **keys) as running:
        yield running


def shared(page: Page, button: str) -> dict[str, str]:
    """What the panel shows for this button, by label."""
    panel = page.locator("#sharing")
    if panel.get_attribute("open") is None:
        panel.locator("summary").click()
    page.get_by_role("button", name=button, exact=True).click()
    pressed = page.get_by_role("button", name=button, exact=True)
    expect(pressed).to_have_attribute("aria-pressed", "true")
    rows = page.locator("#shared label")
    return {
        row.evaluate("(row) => row.firstChild.textContent"): row.locator("input").input_value()
        for row in rows.all()
    }


def another(browser: Browser, url: str) -> Visit:
    """Another device's page: nothing of the first tab is in it."""
    return Visit(browser.tab(), url)


def test_another_page_asks_about_the_same_memory(browser: Browser, service: Service) -> None:
    person = Visit(browser.open(), service.url)
    person.watch("Camera")
    person.ask("What is it now?")
    first = person.answer()
    link = shared(person.page, "Another page asks")["Link to ask"]
    assert link == f"{service.url}/?session={person.sessions[-1]}"

    asker = another(browser, link)
    expect(asker.page.locator("#state")).to_have_text("Another camera watches")
    expect(asker.page.locator(".answer p")).to_have_text(first)  # what was said before
    expect(asker.page.get_by_role("button", name="Camera", exact=True)).to_be_hidden()
    asker.ask("Have you seen a clock?")
    assert re.match("Yes|No", asker.answer())
    assert person.page.locator(".question").last.inner_text() == "Have you seen a clock?"
    assert person.answer() == asker.answer()

    session = f"{service.url}/v1/sessions/{person.sessions[-1]}"
    asker.page.close()
    assert httpx.get(session).status_code == 200, "an asker's page took the memory with it"
    asker = another(browser, link)
    expect(asker.page.locator("#state")).to_have_text("Another camera watches")
    person.page.close()
    expect(asker.page.locator("#state")).to_have_text("Waiting for a camera")
    asker.ask("What was the first thing you saw?")
    assert asker.answer()
    asker.page.goto("about:blank")
    eventually(lambda: httpx.get(session).status_code == 404, FREED_SECONDS, "memory was freed")
    assert person.faults == asker.faults == []


def test_another_page_is_the_camera(browser: Browser, service: Service) -> None:
    person = Visit(browser.open(), service.url)
    link = shared(person.page, "A phone films")["Link for the camera"]
    expect(person.page.locator("#state")).to_have_text("Waiting for a camera")
    expect(person.page.locator(".invitation .big")).to_have_text("Waiting for a camera.")
    phone = another(browser, link)
    phone.watch("Camera")
    expect(person.page.locator("#state")).to_have_text("Another camera watches")
    person.sees(1)
    person.ask("What is it now?")
    assert person.answer()

    # Whoever films later is the camera; the one before says so, and does not fight back.
    person.watch("Camera")
    expect(phone.page.get_by_role("alert")).to_contain_text("Another camera has taken over")
    expect(phone.page.locator("#state")).to_have_text("Another camera watches")
    phone.page.wait_for_timeout(4000)
    expect(person.page.locator("#state")).to_have_text("Watching")
    assert person.faults == phone.faults == []


def test_a_page_asks_for_the_key_that_a_gateway_wants(
    browser: Browser, guarded: Service, key: str
) -> None:
    person = Visit(browser.open(), guarded.url)
    page = person.page
    person.press("Camera")
    dialogue = page.get_by_role("dialog", name="This gateway wants a key")
    expect(dialogue).to_be_visible()
    page.get_by_label("API key, or a session's token").fill("lb_wrong_key")
    page.keyboard.press("Enter")
    expect(dialogue.get_by_text("That key is not valid here")).to_be_visible()
    page.get_by_label("API key, or a session's token").fill(key)
    person.press("Use this key")
    expect(page.locator("#state")).to_have_text("Watching")
    person.sees(1)
    person.ask("What is it now?")
    assert person.answer()
    session = f"{guarded.url}/v1/sessions/{person.sessions[-1]}"

    told = shared(page, "OBS or glasses film")
    assert told["WHIP address"] == f"{guarded.url}/whip/{person.sessions[-1]}"
    mine = {"Authorization": f"Bearer {told['Bearer token']}"}
    sdp = {"Content-Type": "application/sdp"}
    assert httpx.post(told["WHIP address"], headers=sdp, content="v=0").status_code == 401
    assert httpx.post(told["WHIP address"], headers=sdp | mine, content="v=0").status_code == 422

    link = shared(page, "Another page asks")["Link to ask"]
    asker = another(browser, link)
    expect(asker.page.locator("#state")).to_have_text("Another camera watches")
    assert "token" not in asker.page.url, "the token is still in the address bar"
    asker.ask("What is it now?")
    assert asker.answer()
    asker.page.reload()  # The tab still has it.
    expect(asker.page.locator("#state")).to_have_text("Another camera watches")
    secrets = [key, link.partition("token=")[2]]
    urls = [*person.requests, *asker.requests]
    assert not [url for url in urls for secret in secrets if secret in url.partition("#")[0]]

    asker.page.close()
    camera = told["Bearer token"]  # which may not ask
    other = another(browser, f"{guarded.url}/?session={person.sessions[-1]}#token={camera}")
    expect(other.page.get_by_role("alert")).to_contain_text("This needs the scope 'ask'")
    other.page.close()
    forgotten = {"Authorization": f"Bearer {key}"}
    person.press("Forget all")  # a request with a key, too
    expect(page.locator("#state")).to_have_text("Watching")
    assert httpx.get(session, headers=forgotten).status_code == 404
    session = f"{guarded.url}/v1/sessions/{person.sessions[-1]}"
    page.goto("about:blank")
    eventually(
        lambda: httpx.get(session, headers=forgotten).status_code == 404, 3.0, "it was closed"
    )
    assert person.faults == asker.faults == []


def test_whoever_has_no_key_is_told_so(browser: Browser, guarded: Service) -> None:
    person = Visit(browser.open(), guarded.url)
    person.press("Camera")
    person.press("Cancel")
    alert = person.page.get_by_role("alert")
    expect(alert).to_contain_text("This gateway wants a key.")
    expect(person.page.locator("#state")).to_have_text("Not watching")
    lost = another(browser, f"{guarded.url}/?session=unknown#token=nonsense")
    expect(lost.page.get_by_role("dialog")).to_be_visible()
    lost.page.keyboard.press("Escape")
    expect(lost.page.get_by_role("alert")).to_contain_text("This gateway wants a key.")
    assert lost.page.url == f"{guarded.url}/?session=unknown"


def test_a_memory_that_is_gone_is_said_to_who_has_its_link(
    browser: Browser, service: Service
) -> None:
    person = Visit(browser.open(), f"{service.url}/?session=unknown")
    expect(person.page.get_by_role("alert")).to_contain_text("This memory is not there any more")
    session = httpx.post(f"{service.url}/v1/sessions").json()["id"]
    late = another(browser, f"{service.url}/?session={session}")
    expect(late.page.locator("#state")).to_have_text("Waiting for a camera")
    httpx.delete(f"{service.url}/v1/sessions/{session}")
    expect(late.page.locator(".note")).to_contain_text("Ask for another link.")
    expect(late.page.locator("#state")).to_have_text("Not watching")
