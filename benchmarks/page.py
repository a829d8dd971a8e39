"""What the page saves by asking a browser for no more than the sampler uses.

A real Chromium sends 640×480 at 30 frames a second to a gateway as pages do that limit nothing,
and as the page does with the JavaScript client, in turn. `camera` is Chromium's own test picture;
`drawn` is a drifting texture whose frames carry their numbers, from which the age of a frame is
read when the broker has it, in seconds. Everything runs on this machine.

`bytes` are those sent a second with RTP's headers; `encoding` is the encoder's own count,
`browser_cpu` all of Chromium's processes and `gateway_cpu` the gateway's process, each in seconds
of processor time a second. Medians of the rounds.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx
import numpy as np

from benchmarks.barcode import number_in
from benchmarks.errors import OptionError
from broker.connection import connect
from broker.embedded import EmbeddedBroker, dies_with
from messages import keys
from messages.codec import decode_frame

DESCRIPTION = "a browser's camera, limited to what the sampler uses, against one that is not"

_SCRIPT: Final = Path(__file__).with_suffix(".js")
_READY_SECONDS: Final = 120.0
_LONGEST_AGE: Final = 5.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_ARGUMENTS: Final = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream=fps=30",
]  # fmt: skip


def run(
    *,
    seconds: float = 10.0,
    rounds: int = 3,
    warm_up: float = 4.0,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """seconds: of each measurement; warm_up: before each, since a browser begins with a low
    bitrate. Raises OptionError."""
    if not 1 <= seconds <= 600:
        raise OptionError("--seconds of page is from 1 to 600")
    with _measuring(warm_up) as side:
        found: dict[tuple[str, bool], list[dict[str, Any]]] = {}
        for number in range(rounds):
            for source in ("camera", "drawn"):
                for limited in (False, True) if number % 2 == 0 else (True, False):
                    progress(f"round {number + 1}: {source}, limited: {limited}")
                    found.setdefault((source, limited), []).append(
                        side.measure(source, limited, seconds)
                    )
    points = [_point(source, limited, found[source, limited]) for source, limited in found]
    return {"rounds": rounds, "seconds": seconds, "points": points}


def _point(source: str, limited: bool, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    ages = [age for one in rounds for age in one["ages"]]
    names = ("fps", "bytes", "encoding", "browser_cpu", "gateway_cpu")
    return {
        "source": source,
        "limited": limited,
        "picture": rounds[-1]["picture"],
        **{name: round(median(one[name] for one in rounds), 4) for name in names},
        "frame_age_p50": round(float(np.percentile(ages, 50)), 4) if ages else None,
        "frame_age_p99": round(float(np.percentile(ages, 99)), 4) if ages else None,
    }


class _Side:
    """A page, and the gateway that it sends to."""

    def __init__(self, page: Any, warm_up: float, broker: Any, gateway: int, browser: int) -> None:
        self._page = page
        self._warm_up = warm_up
        self._broker = broker
        self._gateway = gateway
        self._browser = browser

    def measure(self, source: str, limited: bool, seconds: float) -> dict[str, Any]:
        page = self._page
        begin = "async ([kind, limited]) => (window.run = await begin(kind, limited)).session"
        session = page.evaluate(begin, [source, limited])
        page.wait_for_timeout(self._warm_up * 1000)
        page.evaluate("(seconds) => void (window.measured = run.measure(seconds))", seconds)
        used, began = self._cpu(), time.monotonic()
        frames = self._watch(session, began + seconds)
        took = time.monotonic() - began
        gateway, browser = ((b - a) / took for a, b in zip(used, self._cpu(), strict=True))
        told = page.evaluate("measured")
        page.evaluate("run.end()")
        return {
            **told,
            "picture": f"{told['width']}×{told['height']}",
            "gateway_cpu": gateway,
            "browser_cpu": browser,
            "ages": list(_ages(frames, told["times"])),
        }

    def _cpu(self) -> tuple[float, float]:
        return _used(self._gateway), sum(_used(one) for one in _family(self._browser))

    def _watch(self, session: str, until: float) -> list[tuple[float, bytes]]:
        """Of each frame that is handed on: when, in Unix seconds, and its JPEG."""
        found, read_to = [], b"$"
        while (left := until - time.monotonic()) > 0:
            block = max(1, int(left * 1000))
            for _, entries in self._broker.xread({keys.frames(session): read_to}, block=block):
                for entry, fields in entries:
                    read_to = entry
                    at = int(entry.partition(b"-")[0]) / 1000
                    found.append((at, decode_frame(fields[keys.FIELD]).jpeg))
        return found


def _ages(frames: list[tuple[float, bytes]], times: list[list[float]]) -> Iterator[float]:
    for at, jpeg in frames:
        number = number_in(jpeg)
        past = [at - when for which, when in times if which == number and when <= at]
        if past and min(past) < _LONGEST_AGE:
            yield min(past)


@contextmanager
def _measuring(warm_up: float) -> Iterator[_Side]:
    """Raises OptionError where there is no Chromium."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise OptionError("page needs Playwright: pip install 'lookback[dev]'") from error
    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if chromium is None:
        raise OptionError("page needs Chromium: apt-get install chromium")
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker())
        port = str(_free_port())
        environment = {"LOOKBACK_BROKER_URL": broker.url, "LOOKBACK_PORT": port}
        gateway, _ = (
            stack.enter_context(_started("gateway", environment)),
            stack.enter_context(_started("worker", environment)),
        )
        url = f"http://127.0.0.1:{port}"
        _await(url)
        profile = stack.enter_context(tempfile.TemporaryDirectory())
        playwright = stack.enter_context(sync_playwright())
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium, args=_ARGUMENTS
        )
        stack.callback(context.close)
        page = context.pages[0]
        page.route("**/benchmark.js", lambda route: route.fulfill(path=_SCRIPT))
        page.goto(f"{url}/health")
        page.evaluate("async () => { window.begin = (await import('/benchmark.js')).begin }")
        connection = stack.enter_context(connect(broker.url))
        yield _Side(page, warm_up, connection, gateway, _browser(profile))


@contextmanager
def _started(part: str, environment: dict[str, str]) -> Iterator[int]:
    """`lookback PART` until the block is left: its process id."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lookback", part],
        env={**os.environ, **environment},
        stderr=subprocess.DEVNULL,
        preexec_fn=dies_with(os.getpid()),
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _await(url: str) -> None:
    """Raises RuntimeError where no session can be had in time."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass  # it is not listening yet
        time.sleep(0.2)
    raise RuntimeError("the gateway did not become ready")


def _browser(profile: str) -> int:
    """The process id of the browser that has this profile."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        arguments = command.read_bytes()
        if profile.encode() in arguments and b"--type=" not in arguments:
            return int(command.parent.name)
    raise RuntimeError("Chromium has ended")


def _family(process: int) -> set[int]:
    """This process and all that it has started."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended meanwhile
    family = {process}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _used(process: int) -> float:
    """Processor seconds of a process so far."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS
