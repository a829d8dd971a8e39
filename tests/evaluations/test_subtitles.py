"""Subtitle files of any making become cues with times, or a reason why not."""

import json
from pathlib import Path

import pytest

from evaluations.subtitles import Cue, SubtitleError, read_json, read_srt, thinned

SRT = """1
00:00:01,500 --> 00:00:02,000
<font color="white" size=".72c">Hi guys,</font>
I'm going to

2
00:01:02,000 --> 00:01:03,000
{\\an8}show you

no time here

3
00:02:00,000 --> 00:02:01,000

"""


def test_srt_cues_have_times_and_no_markup(tmp_path: Path) -> None:
    file = tmp_path / "a.srt"
    file.write_text(SRT.replace("\n", "\r\n"), "utf-8")
    assert read_srt(file) == (Cue(1.5, "Hi guys, I'm going to"), Cue(62.0, "show you"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252", "latin-1"])
def test_subtitles_need_not_be_utf8(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "a.srt"
    file.write_bytes("1\n00:00:01,000 --> 00:00:02,000\nCafé né\n".encode(encoding))
    assert read_srt(file) == (Cue(1.0, "Café né"),)


def test_bytes_that_are_no_text_at_all_are_refused_or_read_but_never_raise(tmp_path: Path) -> None:
    file = tmp_path / "a.srt"
    file.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(SubtitleError, match="no subtitle with a time"):
        read_srt(file)


def test_both_json_forms_are_moved_to_the_clip(tmp_path: Path) -> None:
    spoken, written = tmp_path / "spoken.json", tmp_path / "written.json"
    spoken.write_text(
        json.dumps(
            [{"timestamp": [101.0, None], "text": "one"}, {"timestamp": [5, 6], "text": "x"}]
        )
    )
    written.write_text(json.dumps([{"start": "00:01:43.250", "end": "", "line": "three"}]))
    assert read_json(spoken, 100.0, 10.0) == (Cue(1.0, "one"),)
    assert read_json(written, 100.0, 10.0) == (Cue(3.25, "three"),)


@pytest.mark.parametrize(
    "text", ["{", "{}", '[{"line": "x"}]', '[{"start": "soon", "line": "x"}]', "[3]"]
)
def test_damaged_json_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(SubtitleError, match=r"a\.json"):
        read_json(file, 0.0, 10.0)


def test_thinning_is_even_and_keeps_the_order() -> None:
    cues = [Cue(float(i), str(i)) for i in range(10)]
    assert [cue.text for cue in thinned(cues, 5)] == ["0", "2", "4", "6", "8"]
    assert thinned(cues, 10) == cues
    assert thinned(cues, 0) == []
