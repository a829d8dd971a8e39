"""Camera devices and files as FFmpeg opens them, and pictures as they are sent."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookback_client import Camera, CameraError, File
from lookback_client.pictures import encoded, kind
from tests.clients.conftest import picture

ROOT = Path(__file__).parent.parent.parent


def test_a_device_is_read() -> None:
    device = Camera("testsrc=size=64x48:rate=10", format="lavfi")
    frames = device.open()
    first, second = next(frames), next(frames)
    assert first.time <= second.time
    assert np.asarray(Image.open(io.BytesIO(encoded(first.picture)))).shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Camera(97), "camera|/dev/video97|97"),
        (File("nowhere.mp4"), "no file nowhere.mp4"),
        (File(__file__), "cannot be opened"),
    ],
)
def test_what_cannot_be_opened_is_named(source: Camera | File, words: str) -> None:
    with pytest.raises(CameraError, match=words):
        source.open()


def test_a_damaged_file_says_so(clip: Path, tmp_path: Path) -> None:
    data = bytearray(clip.read_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = bytes(len(data) - start) if data.index(b"moov") < start else data[start:]
    data[start : start + 2000] = bytes(2000)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data)
    with pytest.raises(CameraError, match=r"broke off|no picture|cannot be opened"):
        list(File(broken).open())


def test_a_turned_video_stands_upright(clip: Path, tmp_path: Path) -> None:
    turned = tmp_path / "turned.mp4"
    command = ["ffmpeg", "-v", "error", "-display_rotation", "90", "-i", str(clip)]
    done = subprocess.run([*command, "-c", "copy", str(turned)], capture_output=True, text=True)
    if done.returncode != 0:  # ffmpeg before 6 says it otherwise
        command = ["ffmpeg", "-v", "error", "-i", str(clip), "-metadata:s:v", "rotate=270"]
        subprocess.run([*command, "-c", "copy", str(turned)], check=True)
    frame = next(File(turned).open())
    assert Image.open(io.BytesIO(encoded(frame.picture))).size == (64, 96)


def test_pictures_become_files_of_moderate_size() -> None:
    large = np.zeros((1500, 3000, 3), np.uint8)
    assert Image.open(io.BytesIO(encoded(large))).size == (1280, 640)
    assert kind(encoded(picture(0)[:, ::-1])) == "image/jpeg"  # strided, too
    for format in ("PNG", "WEBP"):
        file = io.BytesIO()
        Image.fromarray(picture(0)).save(file, format)
        assert encoded(file.getvalue()) == file.getvalue()
        assert kind(file.getvalue()) == f"image/{format.lower()}"
    with pytest.raises(CameraError, match="JPEG, PNG or WebP"):
        kind(b"GIF89a")


def test_what_is_missing_is_named() -> None:
    program = """
import sys
sys.modules.update({"av": None, "PIL": None, "aiortc": None})
from lookback_client import CameraError, File
from lookback_client.pictures import encoded
for wanted in (File("pyproject.toml").open, lambda: encoded(object())):
    try:
        wanted()
    except CameraError as error:
        print(error)
try:
    import lookback_client.webrtc
except CameraError as error:
    print(error)
"""
    script = ["-c", program]
    done = subprocess.run(
        [sys.executable, *script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    extras = [line.rpartition("[")[2] for line in done.stdout.splitlines()]
    assert [extra.partition("]")[0] for extra in extras] == ["video", "video", "webrtc"]
