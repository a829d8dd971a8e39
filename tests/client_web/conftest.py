"""The real service as processes, and a real Chromium whose camera is the sample clip."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import av
import cv2
import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, WebSocket, expect, sync_playwright

from broker.embedded import dies_with

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "samples" / "objects.mp4"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
FOREIGN_NAME = "lookback.test"
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
CAMERA_SECONDS = 16
CAMERA_FPS = 30  # at which Chromium plays the file, whatever it was filmed at
FREED_SECONDS = 10.0
PATIENCE = 60_000  # milliseconds; a busy machine is slow, not wrong

expect.set_options(timeout=PATIENCE)


def eventually(holds: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true value; fails with `what` after so many seconds."""
    limit = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < limit, f"{what}: not within {seconds} s"
        time.sleep(0.1)
    return value


class Service:
    """A running `lookback …` command. `url` is where its page is."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def part(self, name: str) -> int:
        """The process id of `gateway` or `worker`."""
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rpartition(")")[2].split()[1])
                command = (stat.parent / "cmdline").read_bytes().split(b"\0")
            except (OSError, IndexError):
                continue  # It ended meanwhile.
            if parent == self.process.pid and name.encode() in command:
                return int(stat.parent.name)
        raise AssertionError(f"no {name} runs")


@contextmanager
def lookback(*command: str, says: str, **environment: str) -> Iterator[Service]:
    """Runs a command until the block ends; `says` is a pattern in its output with the URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lookback", *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=dies_with(os.getpid()),
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline() if says else ""
        found = re.search(says, line) if says else None
        assert not says or found, f"the service said {line!r} and ended"
        yield Service(process, found[1] if found else "")
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """`lookback serve` on a free port."""
    names = {"LOOKBACK_ALLOWED_HOSTS": FOREIGN_NAME}
    with lookback("serve", "--port", "0", says=r"ready: (http\S+)", **names) as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Chromium is."""
    for name in CHROMIUM_NAMES:
        if path := shutil.which(name):
            return path
    message = "Chromium is not installed: apt-get install --no-install-recommends chromium"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def camera_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The beginning of the sample clip as Chromium's fake camera reads it: JPEG after JPEG."""
    path = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    with av.open(str(SAMPLE)) as clip, path.open("wb") as file:
        rate = clip.streams.video[0].average_rate
        assert rate is not None
        repeats = round(CAMERA_FPS / rate)
        for number, frame in enumerate(clip.decode(video=0)):
            if number >= CAMERA_SECONDS * rate:
                break
            written, jpeg = cv2.imencode(".jpg", frame.to_ndarray(format="bgr24"))
            assert written
            file.write(jpeg.tobytes() * repeats)
    return path


class Wire:
    """TCP between a browser and the service, to be cut. Video goes past it."""

    def __init__(self, url: str) -> None:
        there = urlsplit(url)
        self._there = (there.hostname, there.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # The listener was closed.
            while True:
                here, _ = self._listener.accept()
                there = socket.create_connection(self._there)
                self._open += [here, there]
                for ends in ((here, there), (there, here)):
                    threading.Thread(target=self._carry, args=ends, daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # An end was closed, or the wire was cut.
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Breaks every connection; new ones can be made."""
        cut, self._open = self._open, []
        for end in cut:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._listener.close()
        self.cut()


class Visit:
    """A person on the page."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.requests: list[str] = []
        self.sessions: list[str] = []
        self.deltas: list[str] = []
        self.faults: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", self._joined)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.goto(url)

    def _joined(self, socket: WebSocket) -> None:
        self.requests.append(socket.url)
        self.sessions += parse_qs(urlsplit(socket.url).query)["session"]
        socket.on("framereceived", self._heard)

    def _heard(self, frame: str | bytes) -> None:
        found = re.search(r'"response\.output_text\.delta".*"delta":"([^"\\]*)"', str(frame))
        if found:
            self.deltas.append(found[1])

    def press(self, name: str) -> None:
        """A button, by the name that a screen reader says."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def meter(self, name: str) -> str:
        return self.page.locator(f'[data-meter="{name}"]').inner_text()

    @property
    def frames_seen(self) -> int:
        text = self.meter("seen")
        return int(text.replace(",", "")) if text != "–" else 0

    def watch(self, source: str, frames: int = 2) -> None:
        """Chooses a source and waits until the memory holds so many frames of it."""
        self.press(source)
        expect(self.page.locator("#state")).to_have_text("Watching")
        self.sees(frames)

    def sees(self, frames: int) -> None:
        """Waits until at least so many frames are in memory."""
        limit = time.monotonic() + PATIENCE / 1000
        while self.frames_seen < frames:
            assert time.monotonic() < limit, f"{self.frames_seen} frames seen, not {frames}"
            self.page.wait_for_timeout(100)

    def ask(self, question: str) -> None:
        self.deltas.clear()
        self.page.get_by_label("Your question").fill(question)
        self.page.keyboard.press("Enter")

    def answer(self) -> str:
        """The newest answer, once it is written."""
        newest = self.page.locator(".answer").last
        expect(newest).not_to_have_class(re.compile("writing"))
        return newest.locator("p").inner_text()

    @property
    def footnote(self) -> str:
        return self.page.locator(".answer").last.locator("small").inner_text()


class Browser:
    """A Chromium of this test's own whose camera plays the sample clip; one at a time."""

    def __init__(self, playwright: Playwright, path: str, camera: Path, profile: Path) -> None:
        self._playwright = playwright
        self._path = path
        self._profile = profile
        self._context: BrowserContext | None = None
        self._devices = [
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-video-capture={camera}",
        ]

    def open(
        self, *, allowed: bool = True, name: str = "", shown: str = "", **options: Any
    ) -> Page:
        """An empty page. allowed: the answer to the question for the camera. name: of a machine
        that is really this one. shown: the title of the tab that is shared as the screen. The rest
        is as for Playwright's contexts."""
        answer = "--use-fake-ui-for-media-stream" + ("" if allowed else "=deny")
        if shown:
            answer = f"--auto-select-tab-capture-source-by-title={shown}"
        devices = [] if shown else self._devices
        names = [f"--host-resolver-rules=MAP {name} 127.0.0.1"] if name else []
        self._context = self._playwright.chromium.launch_persistent_context(
            self._profile,
            executable_path=self._path,
            args=[*ARGUMENTS, answer, *devices, *names],
            **options,
        )
        self._context.set_default_timeout(PATIENCE)
        return self._context.pages[0]

    def tab(self) -> Page:
        """An empty page beside the first."""
        assert self._context is not None
        return self._context.new_page()

    def close(self) -> None:
        if self._context is not None:
            self._context.close()

    def kill(self) -> None:
        """SIGKILL to all its processes."""
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if str(self._profile).encode() in command.read_bytes():
                    os.kill(int(command.parent.name), signal.SIGKILL)
            except OSError:
                continue  # It ended meanwhile.
        self._context = None


@pytest.fixture
def browser(chromium: str, camera_file: Path, tmp_path: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = Browser(playwright, chromium, camera_file, tmp_path / "profile")
        yield started
        started.close()


@pytest.fixture
def wire(service: Service) -> Iterator[Wire]:
    laid = Wire(service.url)
    yield laid
    laid.close()


@pytest.fixture
def visit(service: Service, browser: Browser) -> Callable[..., Visit]:
    """Opens the page; options as for Browser.open."""

    def begin(**options: Any) -> Visit:
        return Visit(browser.open(**options), service.url)

    return begin
