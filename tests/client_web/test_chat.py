"""Questions that wait, and turns that are forgotten, as the page tells them."""

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from .conftest import Browser, Service, Visit

pytestmark = pytest.mark.timeout(300)


def test_questions_wait_for_their_turn_and_say_so(
    visit: Callable[..., Visit], service: Service
) -> None:
    person = visit()
    person.watch("Camera")
    answers = person.page.locator(".answer")
    worker = service.part("worker")
    # An answer takes a few milliseconds, so the worker is halted until all have asked.
    os.kill(worker, signal.SIGSTOP)
    try:
        for question in ("What is it now?", "Have you seen a clock?", "What was the first thing?"):
            person.ask(question)
        expect(answers.nth(1).locator("small")).to_have_text("Waiting: one answer comes before it.")
        expect(answers.nth(2).locator("small")).to_have_text("Waiting: 2 answers come before it.")
        expect(answers.nth(0).locator("small")).to_have_count(0)
    finally:
        os.kill(worker, signal.SIGCONT)
    for number in range(3):
        expect(answers.nth(number).locator("small")).to_contain_text("Rests on")
    texts = person.page.locator(".log p").all_inner_texts()
    assert texts[0::2] == ["What is it now?", "Have you seen a clock?", "What was the first thing?"]
    assert all(texts[1::2])
    assert texts[3].startswith(("Yes", "No")), "an answer stands below another question"
    expect(person.page.get_by_role("button", name="Stop writing this answer")).to_be_hidden()
    assert person.faults == []


def test_a_place_in_the_queue_counts_down(browser: Browser, service: Service) -> None:
    person = Visit(browser.open(), service.url)
    told = person.page.evaluate(
        """async () => {
          const { Chat } = await import(new URL("static/chat.js", document.baseURI));
          const [log, announcer] = [document.createElement("ol"), document.createElement("p")];
          const chat = new Chat(log, announcer, () => undefined);
          const place = () => log.querySelector("small")?.textContent ?? "";
          const created = (id, asked, queue_position) => chat.hear({
            type: "response.created",
            response: { id, metadata: { asked }, lookback: { queue_position } },
          });
          const done = (id) => chat.hear({
            type: "response.done", response: { id, status: "cancelled" },
          });
          const places = [];
          chat.ask("What is it now?", ["page-1", "page-2"]);
          created("second", "of another client", 1);
          created("mine", "page-1", 2);
          created("later", "of another client", 3);
          places.push(place());
          for (const id of ["later", "first", "second"]) {
            done(id);
            places.push(place());
          }
          return places;
        }"""
    )
    two, one = "Waiting: 2 answers come before it.", "Waiting: one answer comes before it."
    assert told == [two, two, one, ""]


def forgetting(page: Page, turns: list[int]) -> None:
    """The real service's answers; how many turns each was written without comes from here."""
    left = iter(turns)

    def join(here: WebSocketRoute) -> None:
        there = here.connect_to_server()
        about: dict[str, Any] = {}

        def hear(message: str | bytes) -> None:
            event = json.loads(message)
            if event["type"] == "lookback.response.started":
                about["turns_forgotten"] = next(left)
                event["lookback"].update(about)
            elif event["type"] == "response.done":
                event["response"]["lookback"].update(about)
            here.send(json.dumps(event))

        there.on_message(hear)

    page.route_web_socket("**/v1/realtime*", join)


def test_forgotten_turns_are_told_once_for_each_change(browser: Browser, service: Service) -> None:
    page = browser.open()
    forgetting(page, [0, 1, 1, 2])
    person = Visit(page, service.url)
    person.watch("Camera")
    for _ in range(4):
        person.ask("What is it now?")
        person.answer()
    kinds = [str(entry.get_attribute("class")) for entry in page.locator(".log li").all()]
    turn = ["question", "answer"]
    assert kinds == [*turn, "note", *turn, *turn, "note", *turn]
    one, two = page.locator(".note").all_inner_texts()
    assert one.startswith("From here on the oldest question above is forgotten")
    assert two.startswith("From here on the 2 oldest questions above are forgotten")
