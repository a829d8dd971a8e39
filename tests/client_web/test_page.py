"""The page in a real browser, against the real service."""

import json
import os
import re
import signal
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import expect

from training.world import COLOUR_NAMES, DIGITS, OBJECT_NAMES, PLACE_NAMES, WORDS

from .conftest import FREED_SECONDS, ROOT, SAMPLE, Browser, Service, Visit, eventually

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
CLIENT = ROOT / "client_web"

pytestmark = pytest.mark.timeout(400)


def test_a_camera_is_watched_and_asked_about(visit: Callable[..., Visit], service: Service) -> None:
    person = visit()
    person.watch("Camera")

    person.ask("What is it now?")
    answer = person.answer()
    assert len(person.deltas) > 1, "the answer came at once instead of as it was written"
    assert answer == "".join(person.deltas).strip()
    assert re.search(r"It is a \w+\.|I see nothing now\.", answer)
    assert re.fullmatch(
        r"Rests on \d+:\d\d–\d+:\d\d of video · newest frame [\d.]+ s old · "
        r"first word after [\d.]+ s",
        person.footnote,
    )

    before = person.frames_seen
    person.sees(before + 2)
    used = re.match(r"([\d,]+) of ([\d,]+) tokens · [\d.]+ MB", person.meter("used"))
    assert used
    tokens, cap = (int(number.replace(",", "")) for number in used.groups())
    assert 0 < tokens <= cap
    bar = person.page.get_by_role("meter", name="Memory used")
    assert int(bar.get_attribute("aria-valuenow") or 0) <= cap
    assert bar.get_attribute("aria-valuemax") == str(cap)
    assert re.fullmatch(r"[\d.]+ s", person.meter("age"))
    assert person.meter("dropped").isdigit()

    assert person.faults == []
    here = service.url.partition("://")[2].rstrip("/")
    outside = [url for url in person.requests if url.partition("://")[2].split("/")[0] != here]
    assert [url for url in outside if not url.startswith("data:")] == []


def test_the_sample_clip_is_watched_and_asked_about(visit: Callable[..., Visit]) -> None:
    person = visit()
    person.watch("Use the sample clip")
    first = min(json.loads(SAMPLE.with_suffix(".json").read_text())["questions"],
                key=lambda question: question["at"])  # fmt: skip
    chip = person.page.get_by_role("button", name=first["question"], exact=True)
    chip.click(timeout=(first["at"] + 60) * 1000)
    assert person.answer() == first["expected"]
    assert person.faults == []


def test_the_clip_ends_and_its_memory_stays(visit: Callable[..., Visit]) -> None:
    person = visit()
    person.watch("Use the sample clip")
    person.page.evaluate("document.querySelector('#preview').currentTime = 1e6")
    expect(person.page.locator("#state")).to_have_text("The clip is over")
    person.ask("What was the first thing you saw?")
    assert person.answer()
    assert "Rests on" in person.footnote

    person.press("Play it again")
    expect(person.page.locator(".note")).to_have_text("A new memory begins with the clip.")
    expect(person.page.locator("#state")).to_have_text("Watching")
    person.sees(1)
    assert len(set(person.sessions)) == 2


def test_a_screen_is_watched_until_it_is_stopped(visit: Callable[..., Visit]) -> None:
    person = visit()
    person.watch("Screen")
    person.press("Stop")
    expect(person.page.locator("#state")).to_have_text("Not watching")
    # The memory stays.
    person.ask("What is it now?")
    assert person.answer()


def test_a_still_screen_stays_fresh(browser: Browser, service: Service) -> None:
    page = browser.open(shown="Still")
    still = browser.tab()
    still.set_content("<title>Still</title><h1>Nothing moves here</h1>")
    page.bring_to_front()
    person = Visit(page, service.url)
    person.watch("Screen", frames=1)
    page.wait_for_timeout(6000)  # longer than a camera may be silent
    expect(page.locator("#state")).to_have_text("Watching")
    assert person.frames_seen > 1
    assert float(person.meter("age").removesuffix(" s")) < 6
    assert person.faults == []


def test_a_picture_that_does_not_move_is_called_so(browser: Browser, service: Service) -> None:
    page = browser.open()
    page.add_init_script(
        """navigator.mediaDevices.getDisplayMedia = async () => {
          const canvas = document.createElement("canvas");
          canvas.getContext("2d").fillRect(0, 0, 100, 100);
          const stream = canvas.captureStream(30);  // which sends when something is drawn
          window.draw = () => canvas.getContext("2d").fillRect(0, 0, 100, 100);
          for (let number = 0; number < 20; number++) setTimeout(draw, 100 * number);
          return stream;
        };"""
    )
    person = Visit(page, service.url)
    person.watch("Screen", frames=1)
    state = page.locator("#state")
    expect(state).to_have_text("Watching: nothing moves")
    seen = person.frames_seen
    page.wait_for_timeout(6000)
    expect(state).to_have_text("Watching: nothing moves")
    assert person.frames_seen > seen, "the newest frame was frozen"
    page.evaluate("setInterval(draw, 50)")
    expect(state).to_have_text("Watching")


def test_an_answer_can_be_stopped(visit: Callable[..., Visit], service: Service) -> None:
    person = visit()
    person.watch("Camera")
    worker = service.part("worker")
    # An answer takes a few milliseconds, so the worker is halted until the wish has arrived; the
    # question, which it was waiting for, may all the same be read and answered before the wish is.
    for _ in range(5):
        os.kill(worker, signal.SIGSTOP)
        try:
            person.ask("What is it now?")
            person.press("Stop writing this answer")
            person.page.wait_for_timeout(300)
        finally:
            os.kill(worker, signal.SIGCONT)
        person.answer()
        if "Stopped" in person.footnote:
            break
    assert "Stopped" in person.footnote
    expect(person.page.get_by_role("button", name="Ask", exact=True)).to_be_visible()

    person.ask("What is it now?")
    assert person.answer()
    assert "Stopped" not in person.footnote


def test_forgetting_begins_an_empty_memory(visit: Callable[..., Visit], service: Service) -> None:
    person = visit()
    person.watch("Camera", frames=4)
    old = person.sessions[-1]
    person.press("Forget all")
    expect(person.page.locator(".note")).to_have_text("Everything is forgotten.")
    expect(person.page.locator("#state")).to_have_text("Watching")
    person.sees(1)
    assert person.sessions[-1] != old
    assert httpx.get(f"{service.url}/v1/sessions/{old}").status_code == 404


def test_a_phone_has_one_column_and_room_for_fingers(visit: Callable[..., Visit]) -> None:
    person = visit(**PHONE)
    width = "document.documentElement.scrollWidth"
    assert person.page.evaluate(width) == 390
    person.watch("Camera")
    person.ask("How many different things have you seen?")
    assert person.answer()
    for summary in person.page.locator("summary").all():
        summary.click()
    assert person.page.evaluate(width) == 390

    for control in person.page.locator("button:visible, summary, input:visible, textarea").all():
        box = control.bounding_box()
        assert box and box["height"] >= 44 and box["width"] >= 44, control.inner_text()
    size = "getComputedStyle(document.querySelector('#question')).fontSize"
    assert float(person.page.evaluate(size).removesuffix("px")) >= 16


def test_a_killed_browser_frees_its_session(
    visit: Callable[..., Visit], service: Service, browser: Browser
) -> None:
    person = visit()
    person.watch("Camera")
    session = f"{service.url}/v1/sessions/{person.sessions[-1]}"
    assert httpx.get(session).status_code == 200
    browser.kill()
    eventually(lambda: httpx.get(session).status_code == 404, FREED_SECONDS, "memory was freed")


def test_leaving_the_page_frees_its_session(visit: Callable[..., Visit], service: Service) -> None:
    person = visit()
    person.watch("Camera")
    session = f"{service.url}/v1/sessions/{person.sessions[-1]}"
    person.page.goto("about:blank")
    eventually(lambda: httpx.get(session).status_code == 404, FREED_SECONDS, "memory was freed")


def test_the_help_names_the_whole_world() -> None:
    page = (CLIENT / "index.html").read_text()
    for name, words in (
        ("objects", OBJECT_NAMES),
        ("colours", COLOUR_NAMES),
        ("places", PLACE_NAMES),
        ("words", (*(word.upper() for word in WORDS), *DIGITS)),
    ):
        found = re.search(rf'<p id="{name}"><b>\w+:</b>(.*?)\.\s*</p>', page, re.DOTALL)
        assert found
        assert [word.strip() for word in found[1].split(",")] == list(words)
    assert f"of {len(OBJECT_NAMES)}\n" in page
    assert f"knows {len(OBJECT_NAMES)} objects" in (CLIENT / "main.js").read_text()


def test_nothing_comes_from_elsewhere() -> None:
    known = ("http://www.w3.org/2000/svg", "http://127.0.0.1")
    for file in CLIENT.iterdir():
        addresses = re.findall(r"(?:https?:)?//[\w.]+\.[\w./]+", file.read_text())
        assert [one for one in addresses if not one.startswith(known)] == [], file
