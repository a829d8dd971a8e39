"""A video as a stream: nothing from the future, and what cannot be watched is named."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from evaluations.item import Answered, Item, Skip
from evaluations.stream import Streaming, watch
from evaluations.subtitles import Cue
from model_worker.engine import Engine
from model_worker.session import Session
from tests.evaluations.datasets import clip
from tests.lookback.conftest import ROOT

STREAMING = Streaming(fps=1.0, max_tokens=2)


def item(video: Path, *times: float, id: str = "q", **more: object) -> Item:
    return Item(id, "task", video, "What is it now?", None, times=times, **more)  # type: ignore[arg-type]


def became(engine: Engine, *items: Item, streaming: Streaming = STREAMING) -> dict[str, object]:
    return {
        each.item.id if isinstance(each, Answered) else each.id: each
        for each in watch(engine, items, streaming)
    }


def answered(engine: Engine, *items: Item, streaming: Streaming = STREAMING) -> list[Answered]:
    found = list(watch(engine, items, streaming))
    assert all(isinstance(each, Answered) for each in found), found
    return [each for each in found if isinstance(each, Answered)]


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("clips") / "noise.mp4")


def test_a_question_is_asked_when_its_time_has_come(engine: Engine, noise: Path) -> None:
    items = [
        item(noise, id="end"),
        item(noise, 3.5, id="middle"),
        item(noise, 0.0, id="first"),
        item(noise, 3.0, id="sharp"),
    ]
    found = answered(engine, *items)
    assert [each.item.id for each in found] == ["first", "sharp", "middle", "end"]
    assert [each.asked_at for each in found] == [0, 3, 3, 5]
    assert [each.frames for each in found] == [1, 4, 4, 6]
    assert all(each.late == 0 for each in found)


def test_the_rate_is_kept(engine: Engine, noise: Path) -> None:
    found = answered(engine, item(noise, 3.0), streaming=replace(STREAMING, fps=2.0))
    assert (found[0].frames, found[0].asked_at) == (7, 3.0)


@pytest.mark.parametrize("kind", ["engine", "pairs"])
def test_asking_one_does_not_change_what_is_said_to_the_next(
    kind: str, noise: Path, request: pytest.FixtureRequest
) -> None:
    engine: Engine = request.getfixturevalue(kind)
    unit = engine.adapter.most_tokens_per_unit
    small = Streaming(fps=5.0, max_tokens=8, budget_tokens=4 * unit)  # compressed many times
    times = (1.0, 2.2, 4.0, 5.0)  # some in the middle of a unit of two frames
    items = [item(noise, time, id=f"{time}") for time in times]
    together = {each.item.id: each for each in answered(engine, *items, streaming=small)}
    for one in items:
        assert answered(engine, one, streaming=small) == [together[one.id]]
    assert engine.pool.used_tokens == 0  # every session is closed
    if kind == "pairs":  # whose answers hang on what it saw
        assert len({each.responses for each in together.values()}) > 1


def test_a_question_is_not_told_of_those_before_it(
    engine: Engine, noise: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Session] = []
    inner = engine.open_session

    def kept(**given: Any) -> Session:
        opened.append(inner(**given))
        return opened[-1]

    monkeypatch.setattr(engine, "open_session", kept)
    answered(engine, item(noise, 1.0, id="a"), item(noise, 2.0, id="b"))
    assert [session.transcript for session in opened] == [[]]


def test_what_is_seen_after_the_question_is_not_known_to_it() -> None:
    engine = Engine.load(ROOT / "models" / "lookback-mini", device="cpu", threads=1)
    shown = ROOT / "samples" / "objects.mp4"
    asked = replace(item(shown, 14.0, id="before"), prompt="Have you seen a dog?")
    later = replace(asked, id="after", times=(43.0,))
    found = answered(engine, later, asked, streaming=Streaming(fps=1.0, max_tokens=32))
    assert [each.responses for each in found] == [
        ("No, I have not seen a dog.",),
        ("Yes, I have seen a dog.",),
    ]


def test_a_question_may_be_asked_again_until_it_is_answered(engine: Engine, noise: Path) -> None:
    said = answered(engine, item(noise, 1.0))[0].responses[0].lower()
    again = item(noise, 1.0, 2.0, 3.0, until="no such word")
    assert len(answered(engine, again)[0].responses) == 3
    assert answered(engine, again)[0].asked_at == 3
    assert said.strip(), "the untrained model says something"
    once = item(noise, 1.0, 2.0, 3.0, until=said.strip()[:3])
    assert len(answered(engine, once)[0].responses) == 1


def test_a_time_a_little_beyond_the_end_is_asked_at_the_end(engine: Engine, noise: Path) -> None:
    found = became(engine, item(noise, 20.0, id="late"), item(noise, 500.0, id="elsewhere"))
    late, elsewhere = found["late"], found["elsewhere"]
    assert isinstance(late, Answered) and isinstance(elsewhere, Skip)
    assert (late.asked_at, late.late) == (5.0, 14.0)
    assert elsewhere.reason == "time beyond the end"
    assert "500 s" in elsewhere.detail


def test_a_missing_and_an_empty_video_are_told_apart(engine: Engine, tmp_path: Path) -> None:
    empty, junk = tmp_path / "empty.mp4", tmp_path / "junk.mp4"
    empty.write_bytes(b"")
    junk.write_bytes(b"junk" * 1000)
    found = [became(engine, item(file))["q"] for file in (tmp_path / "none.mp4", empty, junk)]
    assert [each.reason for each in found if isinstance(each, Skip)] == [
        "no video",
        "damaged video",
        "damaged video",
    ]
    assert all(isinstance(each, Skip) and ".mp4" in each.detail for each in found)


def test_a_video_that_breaks_off_answers_what_came_before(engine: Engine, tmp_path: Path) -> None:
    whole = clip(tmp_path / "a.mp4", 20.0)
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    items = [item(whole, 2.0, id="early"), item(whole, 19.0, id="late"), item(whole, id="end")]
    found = became(engine, *items)
    assert isinstance(found["early"], Answered)
    for name in ("late", "end"):
        skip = found[name]
        assert isinstance(skip, Skip) and skip.reason == "damaged video", skip


@pytest.mark.parametrize("garbage", [b"\xff", b"\x00", b"\x5a"])
def test_garbage_in_the_middle_is_never_a_wrong_answer_in_silence(
    engine: Engine, tmp_path: Path, garbage: bytes
) -> None:
    """FFmpeg mends what it can; what it cannot ends the stream. Each is accounted for."""
    file = clip(tmp_path / "a.mp4", 12.0)
    with av.open(str(file)) as container:
        keys = [packet for packet in container.demux(video=0) if packet.is_keyframe]
    broken = next(packet for packet in keys if packet.pts * packet.time_base > 5)
    data = bytearray(file.read_bytes())
    assert broken.pos is not None
    data[broken.pos : broken.pos + broken.size] = garbage * broken.size
    file.write_bytes(data)
    found = became(engine, item(file, 2.0, id="early"), item(file, 11.0, id="late"))
    assert isinstance(found["early"], Answered)
    late = found["late"]
    if isinstance(late, Answered):
        assert (late.frames, late.asked_at) == (12, 11)
    else:
        assert isinstance(late, Skip) and late.reason == "damaged video"


def test_a_memory_that_lets_go_of_nothing_is_said_to_be_full(engine: Engine, noise: Path) -> None:
    small = Streaming(fps=5.0, max_tokens=2, budget_tokens=36, policy="full")
    found = became(engine, item(noise, 1.0, id="early"), item(noise, id="end"), streaming=small)
    assert isinstance(found["early"], Answered)
    skip = found["end"]
    assert isinstance(skip, Skip) and skip.reason == "memory full"
    assert "budget" in skip.detail


def test_a_question_that_does_not_fit_is_skipped_alone(engine: Engine, noise: Path) -> None:
    long = replace(item(noise, 1.0, id="long"), prompt="what " * 3000)
    found = became(engine, long, item(noise, 1.0, id="short"))
    skip = found["long"]
    assert isinstance(skip, Skip) and skip.reason == "question too long"
    assert isinstance(found["short"], Answered)


def test_subtitles_until_now_are_shown_as_far_as_they_fit(engine: Engine, noise: Path) -> None:
    cues = tuple(Cue(float(i), "what is it " * 20) for i in range(6))
    few = item(noise, 1.5, id="few", subtitles=cues, heading="Subtitles:")
    many = tuple(Cue(i / 100, "what is it now " * 20) for i in range(500))
    thinned = item(noise, id="thinned", subtitles=many)
    found = became(engine, few, thinned)
    first, second = found["few"], found["thinned"]
    assert isinstance(first, Answered) and isinstance(second, Answered)
    assert first.subtitles == (2, 6)  # four are yet to come
    assert 0 < second.subtitles[0] < 500


def test_a_budget_or_policy_that_cannot_be_is_an_error(engine: Engine, noise: Path) -> None:
    for wrong in ({"budget_tokens": 1}, {"policy": "magic"}):
        with pytest.raises(ValueError, match=r"budget|magic"):
            became(engine, item(noise), streaming=replace(STREAMING, **wrong))  # type: ignore[arg-type]
    assert math.isfinite(engine.pool.used_tokens)
