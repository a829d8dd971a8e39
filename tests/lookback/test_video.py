"""A file becomes sampled frames by presentation time."""

from pathlib import Path

import numpy as np
import pytest

from lookback.video import Video, VideoError


def test_one_frame_in_every_period_starting_with_the_first(clip: Path) -> None:
    video = Video(clip)
    assert video.seconds == pytest.approx(6.0, abs=0.2)
    frames = list(video.sampled(1.0))
    assert [frame.timestamp for frame in frames] == pytest.approx([0, 1, 2, 3, 4, 5])
    assert frames[0].pixels.shape == (96, 96, 3)
    assert frames[0].pixels.dtype == np.uint8
    assert np.abs(frames[0].pixels.astype(int) - frames[1].pixels).mean() > 20


@pytest.mark.parametrize(("fps", "until", "count"), [(2.0, 2.0, 5), (0.5, None, 3), (100, 0.5, 6)])
def test_the_rate_and_the_end_are_kept(
    clip: Path, fps: float, until: float | None, count: int
) -> None:
    frames = list(Video(clip).sampled(fps, until))
    assert len(frames) == count
    assert all(until is None or frame.timestamp <= until + 0.01 for frame in frames)


def test_what_is_no_video_is_named(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(VideoError, match=r"no file .*none\.mp4"):
        Video(tmp_path / "none.mp4")
    junk = tmp_path / "junk.mp4"
    junk.write_bytes(b"junk" * 1000)
    with pytest.raises(VideoError, match="no video"):
        Video(junk)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(clip.read_bytes()[: len(clip.read_bytes()) // 2])
    with pytest.raises(VideoError):
        list(Video(broken).sampled(1.0))
