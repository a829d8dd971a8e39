"""What a person sets before a memory begins."""

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Request, expect

from .conftest import Visit

pytestmark = pytest.mark.timeout(300)


def test_instructions_go_with_the_session_that_begins(visit: Callable[..., Visit]) -> None:
    person = visit()
    bodies: list[dict[str, object]] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.url.endswith("/v1/sessions"):
            bodies.append(json.loads(request.post_data or ""))

    person.page.on("request", note)
    person.watch("Camera")
    assert bodies == [{}]

    person.page.get_by_text("Settings", exact=True).click()
    field = person.page.get_by_label("Instructions for the model")
    hint = person.page.get_by_text("Changed: this holds for the next memory.")
    expect(hint).to_be_hidden()
    field.fill("  Answer in one word.  ")
    expect(hint).to_be_visible()
    person.press("Forget all")
    expect(person.page.locator("#state")).to_have_text("Watching")
    person.sees(1)
    assert bodies[1:] == [{"instructions": "Answer in one word."}]
    expect(hint).to_be_hidden()
    person.ask("What is it now?")
    assert person.answer()
    assert person.faults == []
