"""The browser example, in a real Chromium and on a page of another origin."""

import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.client_web.conftest import (
    ROOT,
    Browser,
    browser,
    camera_file,
    chromium,
    lookback,
)

__all__ = ["browser", "camera_file", "chromium"]

EXAMPLE = (ROOT / "examples" / "webcam.html").read_text()
GATEWAY = "http://127.0.0.1:8400"

pytestmark = pytest.mark.timeout(200)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """A test's output is for what fails."""


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[str]:
    """Where a server of one's own serves `tmp_path / "site"`."""
    (tmp_path / "site").mkdir()
    handler = partial(Quiet, directory=str(tmp_path / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_webcam_is_asked_about_from_another_origin(
    browser: Browser, origin: str, tmp_path: Path
) -> None:
    origins = {"LOOKBACK_ALLOWED_ORIGINS": origin}
    with lookback("serve", "--port", "0", says=r"ready: (http\S+)", **origins) as service:
        page = browser.open()
        said: list[str] = []
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text))
        page.on("requestfailed", lambda request: said.append(f"{request.url} {request.failure}"))
        example = tmp_path / "site" / "webcam.html"
        example.write_text(EXAMPLE.replace(GATEWAY, service.url))
        page.goto(f"{origin}/webcam.html")
        page.wait_for_timeout(500)
        assert said == []
        expect(page.locator("video")).to_have_js_property("readyState", 4)
        for _ in range(20):  # until the first picture has arrived
            page.get_by_label("Question").fill("What is it now?")
            page.keyboard.press("Enter")
            expect(page.get_by_role("log")).to_contain_text(re.compile(r"now\?\n.+\n$"))
            if "no_frames_yet" not in page.get_by_role("log").inner_text().splitlines()[-1]:
                break
            page.wait_for_timeout(200)
        expect(page.get_by_role("log")).to_contain_text(re.compile(r"It is a|I see nothing now"))
        assert said == []


def test_it_is_short() -> None:
    assert len(EXAMPLE.splitlines()) <= 40
