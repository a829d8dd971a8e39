"""Questions that wait, and turns that are forgotten, as the page tells them."""

import os
import signal
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

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
          const { Answers } = await import(new URL("clients/js/answers.js", document.baseURI));
          const [log, announcer] = [document.createElement("ol"), document.createElement("p")];
          const chat = new Chat(log, announcer, () => undefined);
          const answers = new Answers(() => undefined, () => undefined);
          const place = () => log.querySelector("small")?.textContent ?? "";
          const created = (id, lookback_asked, queue_position) => answers.hear({
            type: "response.created",
            response: { id, metadata: { lookback_asked }, lookback: { queue_position } },
          });
          const done = (id) => answers.hear({
            type: "response.done", response: { id, status: "cancelled" },
          });
          const places = [];
          const { answer, events } = answers.ask("What is it now?");
          events.push("page-1", "page-2");
          chat.show(answer);
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


def test_a_border_shows_which_turns_are_forgotten(visit: Callable[..., Visit]) -> None:
    person = visit()
    person.watch("Camera")
    page = person.page

    def log() -> list[str]:
        """The questions and the border between them, in order."""
        return page.locator(".log .question, .log .note").all_inner_texts()

    questions = [
        f"Have you seen a {name}?" for name in ("clock", "cat", "dog", "hat", "key", "bus")
    ]
    border = "What was said above is forgotten, for want of room. What was seen is not."
    for number, question in enumerate(questions):
        person.ask(question)
        assert person.answer()
        # Four earlier turns are told again with a question; of the sixth's five the first is not.
        gone = max(0, number - 4)
        asked = questions[: number + 1]
        assert log() == ([*asked[:gone], border, *asked[gone:]] if gone else asked)
    person.ask("Have you seen a car?")
    assert person.answer()
    assert log() == [*questions[:2], border, *questions[2:], "Have you seen a car?"]
    person.press("Forget all")
    expect(page.locator("#state")).to_have_text("Watching")
    person.sees(1)
    person.ask("Have you seen a bus?")
    assert person.answer()
    assert log()[-2:] == ["Everything is forgotten.", "Have you seen a bus?"]
