"""What the page says where the service is full or breaks, and how it goes on."""

import os
import re
import signal
import socket
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import expect

from broker.embedded import EmbeddedBroker

from .conftest import Browser, Service, Visit, Wire, eventually, lookback

pytestmark = pytest.mark.timeout(400)


def test_a_full_service_is_waited_for(visit: Callable[..., Visit], service: Service) -> None:
    def idle() -> bool:
        return bool(httpx.get(f"{service.url}/ready").json()["worker"]["sessions"] == 0)

    eventually(idle, 60.0, "the sessions of earlier tests were freed")
    taken: list[str] = []
    while (answer := httpx.post(f"{service.url}/v1/sessions")).status_code == 201:
        taken.append(f"{service.url}/v1/sessions/{answer.json()['id']}")
        assert len(taken) < 100
    person = visit()
    person.press("Camera")
    expect(person.page.locator("#state")).to_have_text("Waiting for a free place…")
    expect(person.page.get_by_role("alert")).to_contain_text(
        re.compile(r"All places for memories are taken\. .+ Trying again in \d+ s\.")
    )
    for session in taken:
        httpx.delete(session)
    # The refusal above has a place in the queue, too.
    ticket = {"ticket": answer.json()["error"]["lookback"]["ticket"]}
    first = httpx.post(f"{service.url}/v1/sessions", json=ticket).raise_for_status()
    httpx.delete(f"{service.url}/v1/sessions/{first.json()['id']}")
    expect(person.page.locator("#state")).to_have_text("Watching")
    expect(person.page.get_by_role("alert")).to_be_hidden()


def test_a_killed_gateway_costs_no_memory(visit: Callable[..., Visit], service: Service) -> None:
    """The next one adopts the session; on a machine so busy that it comes too late, the page says
    that the memory was lost, and begins another."""
    person = visit()
    person.watch("Camera")
    os.kill(service.part("gateway"), signal.SIGKILL)
    expect(person.page.locator("#state")).not_to_have_text("Watching")
    expect(person.page.locator("#state")).to_have_text("Watching")
    person.sees(2)
    person.ask("What is it now?")
    assert person.answer()
    lost = "The memory was lost" in (person.page.locator(".note").all_text_contents() or [""])[0]
    assert len(set(person.sessions)) == (2 if lost else 1)


def test_a_worker_that_dies_is_said_and_watching_goes_on(
    visit: Callable[..., Visit], service: Service
) -> None:
    person = visit()
    person.watch("Camera")
    os.kill(service.part("worker"), signal.SIGKILL)
    expect(person.page.locator(".note")).to_contain_text(re.compile("memory", re.IGNORECASE))
    expect(person.page.locator("#state")).to_have_text("Watching")
    expect(person.page.get_by_role("alert")).to_be_hidden()
    person.ask("What is it now?")
    assert person.answer()
    assert person.faults == []


def test_a_broken_websocket_loses_neither_memory_nor_answer(
    browser: Browser, service: Service, wire: Wire
) -> None:
    person = Visit(browser.open(), wire.url)
    person.watch("Camera")
    seen = person.frames_seen
    worker = service.part("worker")
    # Halted, so that the answer is written while nobody is connected.
    os.kill(worker, signal.SIGSTOP)
    try:
        person.ask("What is it now?")
        person.page.wait_for_timeout(300)
        wire.cut()
    finally:
        os.kill(worker, signal.SIGCONT)
    assert person.answer()
    assert "Rests on" in person.footnote
    expect(person.page.locator("#state")).to_have_text("Watching")
    person.sees(seen + 2)
    assert len(person.sessions) == 2 and len(set(person.sessions)) == 1


def test_a_broken_video_connection_is_made_again(browser: Browser, service: Service) -> None:
    page = browser.open()
    page.add_init_script(
        """{
          const Real = RTCPeerConnection;
          window.peers = [];
          window.RTCPeerConnection = class extends Real {
            constructor(...args) {
              super(...args);
              window.peers.push(this);
            }
          };
        }"""
    )
    person = Visit(page, service.url)
    person.watch("Camera")
    page.evaluate("peers[0].close()")  # which tells the server, and nobody here
    seen = person.frames_seen
    person.sees(seen + 3)
    session = httpx.get(f"{service.url}/v1/sessions/{person.sessions[-1]}").json()
    assert session["camera"]["state"] == "live"
    expect(person.page.locator("#state")).to_have_text("Watching")
    assert len(person.sessions) == 1
    assert page.evaluate("peers.length") == 2


def test_without_a_model_the_page_waits_and_says_so(browser: Browser) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with (
        EmbeddedBroker() as broker,
        lookback("gateway", "--port", str(port), "--broker-url", broker.url, says=""),
    ):
        eventually(lambda: _answers(url), 60.0, "the gateway answers")
        person = Visit(browser.open(), url)
        alert = person.page.get_by_role("alert")
        expect(alert).to_contain_text("The model is not ready yet.")
        person.press("Camera")
        expect(person.page.locator("#state")).to_have_text("Waiting for the model…")
    expect(person.page.locator("#state")).to_have_text("Server not reachable")
    expect(alert).to_contain_text("The server cannot be reached.")


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False
