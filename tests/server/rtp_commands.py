"""The commands by which docs/cameras.md sends RTP, and programs that end with their test."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from broker.embedded import dies_with
from tests.server.programs import missing

_DOCS = Path(__file__).parent.parent.parent / "docs" / "cameras.md"
_SECTION = _DOCS.read_text().partition("\n## RTP:")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```sh\n(.*?)```", _SECTION, flags=re.DOTALL)
"""With ffmpeg, with GStreamer, and with ffmpeg in VP8."""
_TEST_CAMERA = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240"


def documented(block: str, url: str, session: str) -> list[str]:
    """The command that runs such a block for this session, where no camera is built in."""
    for program in re.findall(r"\b(curl|ffmpeg|gst-launch-1\.0)\b", block):
        if shutil.which(program) is None:
            missing(f"{program} is not installed: apt-get install curl ffmpeg gstreamer1.0-tools")
    script = block.replace("http://127.0.0.1:8400", url).replace("/ID/", f"/{session}/")
    return ["bash", "-euo", "pipefail", "-c", script.replace("v4l2src", _TEST_CAMERA)]


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process, and what it starts, which end with this; what they say is in `said`."""
    if (name := shutil.which(command[0])) is None:
        missing(f"{command[0]} is not installed")
    log = (folder / "said").open("wb")
    process = subprocess.Popen(
        [name, *command[1:]],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        start_new_session=True,
        preexec_fn=dies_with(os.getpid()),
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()
