"""What goes wrong before anything is watched, in words that say what to do."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from .conftest import FOREIGN_NAME, Browser, Service, Visit

pytestmark = pytest.mark.timeout(400)


def test_a_denied_camera_is_explained(visit: Callable[..., Visit]) -> None:
    person = visit(allowed=False)
    person.press("Camera")
    expect(person.page.get_by_role("alert")).to_contain_text("The camera was not allowed.")
    expect(person.page.locator("#state")).to_have_text("Not watching")
    person.watch("Use the sample clip")
    expect(person.page.get_by_role("alert")).to_be_hidden()


def test_a_page_without_https_says_why_there_is_no_camera(
    browser: Browser, service: Service
) -> None:
    page = browser.open(name=FOREIGN_NAME)
    person = Visit(page, service.url.replace("127.0.0.1", FOREIGN_NAME))
    assert person.page.evaluate("isSecureContext") is False
    person.press("Camera")
    expect(person.page.get_by_role("alert")).to_contain_text("Open this page over HTTPS")
    person.watch("Use the sample clip")


def test_a_devices_refusal_is_put_in_words(visit: Callable[..., Visit]) -> None:
    page = visit().page
    for name, during, words in (
        ("NotFoundError", "camera", "No camera was found."),
        ("NotReadableError", "camera", "Another program may be using it"),
        ("OverconstrainedError", "camera", "Choose another one."),
        ("NotAllowedError", "screen", "No screen was shared."),
        ("UnknownError", "camera", "The camera did not start: detail."),
    ):
        told = page.evaluate(
            """async ([name, during]) => {
              const { words } = await import(new URL("static/errors.js", document.baseURI));
              return words(new DOMException("detail", name), during);
            }""",
            [name, during],
        )
        assert words in told


def test_a_question_before_any_picture_is_kept(visit: Callable[..., Visit]) -> None:
    person = visit()
    person.ask("What is it now?")
    expect(person.page.get_by_role("alert")).to_contain_text("Show me something first")
    expect(person.page.get_by_label("Your question")).to_have_value("What is it now?")
