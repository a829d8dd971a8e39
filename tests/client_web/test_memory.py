"""The look inside the memory: what is drawn of a description, and when one is asked for."""

import base64
import json
import re
from collections.abc import Iterable
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from .conftest import Browser, Service, Visit, lookback

PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
ROWS, COLUMNS, TEXT = 3, 4, 2
PATCHES = ROWS * COLUMNS + TEXT

pytestmark = pytest.mark.timeout(300)


def described(frames: Iterable[float], shares: list[list[int]], **other: Any) -> dict[str, Any]:
    """An event of the server; one row of bytes for each frame."""
    times = list(frames)
    return {
        "type": "lookback.memory.described",
        "description": {
            "frames": times,
            "patches": PATCHES,
            "rows": ROWS,
            "columns": COLUMNS,
            "shares": base64.b64encode(b"".join(map(bytes, shares))).decode(),
            "tokens": 320,
            "budget_tokens": 256,
            "cap_tokens": 384,
            "kv_bytes": 1_500_000,
            "bytes_per_token": 1024,
            "span": [times[0], times[-1]] if times else None,
            "next_compression_tokens": 64,
            "next_compaction_positions": 9000,
            "compressions": 7,
            "position_compactions": 1,
            **other,
        },
    }


def fading() -> dict[str, Any]:
    """A frame of which one patch is kept by half of the heads, a gap, and two whole frames."""
    old = [0] * PATCHES
    old[5] = 128
    return described([3.0, 63.0, 64.0], [old, [255] * PATCHES, [255] * PATCHES])


class Line:
    """The page's websocket to the real service; descriptions come from here instead."""

    def __init__(self, page: Page, told: dict[str, Any]) -> None:
        self.told = told
        self.asked = 0
        page.route_web_socket("**/v1/realtime*", self._join)

    def _join(self, here: WebSocketRoute) -> None:
        there = here.connect_to_server()

        def say(message: str | bytes) -> None:
            if json.loads(message)["type"] != "lookback.memory.describe":
                there.send(message)
                return
            self.asked += 1
            here.send(json.dumps({**self.told, "event_id": ""}))

        here.on_message(say)


def open_inside(
    browser: Browser, service: Service, told: dict[str, Any], **options: Any
) -> tuple[Visit, Line]:
    """Somebody who watches and has opened the look inside."""
    page = browser.open(**options)
    line = Line(page, told)
    person = Visit(page, service.url)
    person.watch("Camera")
    page.get_by_text("Look inside", exact=True).click()
    expect(page.locator("#inside")).to_be_visible()
    return person, line


def strip_alpha(page: Page, share: float) -> int:
    """How opaque the strip is so far along, 0 to 255."""
    return int(
        page.evaluate(
            """(share) => {
              const strip = document.querySelector("#strip");
              const x = Math.min(Math.floor(share * strip.width), strip.width - 1);
              return strip.getContext("2d").getImageData(x, 4, 1, 1).data[3];
            }""",
            share,
        )
    )


def strip_is_drawn_in(page: Page, colour: str) -> None:
    """Waits until the newest frame has this colour."""
    page.wait_for_function(
        """(colour) => {
          const strip = document.querySelector("#strip");
          const { data } = strip.getContext("2d").getImageData(strip.width - 1, 4, 1, 1);
          return `rgb(${data[0]}, ${data[1]}, ${data[2]})` === colour;
        }""",
        arg=colour,
    )


def patch_alphas(page: Page) -> list[int]:
    """How opaque the patches of the chosen frame are, row by row."""
    alphas: list[int] = page.evaluate(
        """([rows, columns]) => {
          const { width, height } = document.querySelector("#patches");
          const context = document.querySelector("#patches").getContext("2d");
          return Array.from({ length: rows * columns }, (_, patch) => context.getImageData(
            Math.floor(((patch % columns) + 0.5) * width / columns),
            Math.floor((Math.floor(patch / columns) + 0.5) * height / rows), 1, 1).data[3]);
        }""",
        [ROWS, COLUMNS],
    )
    return alphas


def test_what_is_kept_is_drawn_along_time(browser: Browser, service: Service) -> None:
    person, line = open_inside(browser, service, fading())
    page = person.page
    little, nothing, whole = (strip_alpha(page, share) for share in (0.0, 0.5, 0.99))
    assert 0 < little < whole == 255, "the more is kept, the stronger"
    assert nothing == 0, "nothing is kept of the minute in between"

    expect(page.locator("#memory-words")).to_have_text(
        "Something is kept of 3 frames from 0:03 to 1:04; 2 of them are whole."
    )
    expect(page.locator('[data-memory="from"]')).to_have_text("0:03")
    expect(page.locator('[data-memory="to"]')).to_have_text("1:04")
    for name, words in {
        "frame": "1:04: kept whole, all 12 patches",
        "held": "320 of at most 384 tokens",
        "bytes": "1.50 MB, 1,024 bytes a token",
        "next": "after 64 more tokens, down to 256",
        "positions": "compacted after 9,000 more, so far 1 time",
    }.items():
        expect(page.locator(f'[data-memory="{name}"]')).to_have_text(words)

    line.told = described([9.0], [[255] * PATCHES], next_compaction_positions=None)
    expect(page.locator("#memory-words")).to_have_text(
        "Something is kept of 1 frame at 0:09; 1 of them is whole."
    )
    line.told = described([], [])
    expect(page.locator("#memory-words")).to_have_text("Nothing is kept yet.")
    expect(page.locator("#inside")).to_be_hidden()
    assert person.faults == []


def test_a_frame_is_looked_at_with_mouse_and_keys(browser: Browser, service: Service) -> None:
    person, _ = open_inside(browser, service, fading())
    page = person.page
    words, strip = page.locator('[data-memory="frame"]'), page.locator("#strip")
    old, newest = "0:03: 4 % kept, in 1 of 12 patches", "1:04: kept whole, all 12 patches"

    strip.hover(position={"x": 1, "y": 20})
    expect(words).to_have_text(old)
    assert patch_alphas(page) == pytest.approx([0] * 5 + [191] + [0] * 6, abs=3)
    page.mouse.move(0, 0)
    expect(words).to_have_text(newest)
    strip.click(position={"x": 1, "y": 20})
    page.mouse.move(0, 0)
    page.wait_for_timeout(1500)  # A description has come meanwhile.
    expect(words).to_have_text(old)

    slider = page.get_by_role("slider", name="Frames in memory, oldest to newest")
    slider.focus()
    expect(slider).to_have_attribute("aria-valuetext", old)
    page.keyboard.press("ArrowRight")
    expect(words).to_have_text("1:03: kept whole, all 12 patches")
    expect(slider).to_have_attribute("aria-valuenow", "2")
    page.keyboard.press("End")
    expect(words).to_have_text(newest)
    assert patch_alphas(page) == [255] * 12
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuenow", "3")
    page.keyboard.press("Home")
    expect(words).to_have_text(old)
    page.get_by_label("Your question").focus()
    expect(words).to_have_text(newest)


def test_it_is_asked_for_once_a_second_while_open(browser: Browser, service: Service) -> None:
    person, line = open_inside(browser, service, fading())
    first = line.asked
    person.page.wait_for_timeout(4000)
    assert 2 <= line.asked - first <= 5
    person.page.get_by_text("Look inside", exact=True).click()
    person.page.wait_for_timeout(200)
    closed = line.asked
    person.page.wait_for_timeout(2500)
    assert line.asked == closed, "nobody looks, yet it is asked for"


def test_a_long_memory_fits_a_small_phone_in_the_dark(browser: Browser, service: Service) -> None:
    frames = [float(second) for second in range(0, 86_400, 30)]
    shares = [[10 + index % 5] * PATCHES for index in range(len(frames) - 1)] + [[255] * PATCHES]
    told = described(frames, shares)
    person, _ = open_inside(browser, service, told, color_scheme="dark", **PHONE)
    page = person.page
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    expect(page.locator("#memory-words")).to_have_text(
        "Something is kept of 2,880 frames from 0:00 to 23:59:30; 1 of them is whole."
    )
    assert 0 < strip_alpha(page, 0.3) < strip_alpha(page, 0.999) == 255
    accent = "getComputedStyle(document.querySelector('#strip')).color"
    dark = page.evaluate(accent)
    strip_is_drawn_in(page, dark)
    page.emulate_media(color_scheme="light")
    light = page.evaluate(accent)
    assert light != dark
    strip_is_drawn_in(page, light)
    page.locator("#strip").tap(position={"x": 1, "y": 20})
    expect(page.locator('[data-memory="frame"]')).to_contain_text(
        re.compile(r"^\d:\d\d: [345] % kept, in 12 of 12 patches")
    )


def test_a_real_memory_forgets_before_ones_eyes(browser: Browser) -> None:
    # `novelty` would keep the first frame whole: nothing like it had been there.
    quick = {"LOOKBACK_FPS": "5", "LOOKBACK_KEEP_EVERY_SECONDS": "0", "LOOKBACK_POLICY": "tar"}
    command = ("serve", "--port", "0", "--budget", "72")
    with lookback(*command, says=r"ready: (http\S+)", **quick) as service:
        person = Visit(browser.open(), service.url)
        page = person.page
        page.get_by_text("Look inside", exact=True).click()
        expect(page.locator("#memory-words")).to_have_text("Nothing is kept yet.")
        person.watch("Camera")
        expect(page.locator("#inside")).to_be_visible()
        words = page.locator('[data-memory="frame"]')
        expect(words).to_contain_text("kept whole, all 9 patches")
        expect(page.locator('[data-meter="compressions"]')).not_to_have_text(re.compile("^[–0]$"))

        page.locator("#strip").focus()
        page.keyboard.press("Home")
        expect(words).to_have_text(re.compile(r"^0:\d\d: [1-9]\d? % kept, in [1-9] of 9 patches$"))
        assert 0 < strip_alpha(page, 0.0) < 255
        page.keyboard.press("End")
        expect(words).to_contain_text("kept whole, all 9 patches")
        held = page.locator('[data-memory="held"]').inner_text()
        tokens, cap = map(int, re.findall(r"\d+", held))
        assert 0 < tokens <= cap
        assert page.get_by_role("meter").get_attribute("aria-valuemax") == str(cap)
        person.ask("What is it now?")
        assert person.answer()
        assert person.faults == []
