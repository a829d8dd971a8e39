"""Sessions: what they take, what they refuse, what they keep."""

import gc
import math
import weakref

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model_worker.decoding import Sampling
from model_worker.engine import Engine
from model_worker.memory.cache import BoundedCache
from model_worker.session import FrameError, QuestionError, Session, SessionBusy

Frames = list[NDArray[np.uint8]]
FAMILIES = ["llava_onevision", "qwen2_vl", "qwen2_5_vl"]
LATER = ["qwen3_vl", "llava_next_video", "smolvlm", "internvl"]


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Qwen's units have at most 4 visual tokens, so that a block is soon full."""
    monkeypatch.setattr("model_worker.families.qwen2_vl._MOST_TOKENS", 4)


def watched(engine: Engine, frames: Frames, budget: int = 24, **more: object) -> Session:
    """A session that has seen all `frames`, one a second."""
    session = engine.open_session(budget_tokens=budget, **more)  # type: ignore[arg-type]
    session.watch_many(frames, [float(i) for i in range(len(frames))])
    return session


def small(engine: Engine, budget: int) -> int:
    """A budget of that many tokens, or what the largest frame of the family needs."""
    return max(budget, 2 * engine.adapter.most_tokens_per_unit)


# -- watching -----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_memory_stays_under_its_cap(
    engines: dict[str, Engine], frames: Frames, family: str
) -> None:
    engine = engines[family]
    session = engine.open_session(budget_tokens=small(engine, 24))
    cache = session._open_cache()
    address = cache.buffer.data_ptr()
    first = session.memory
    assert (first.tokens, first.frames_seen, first.span) == (0, 0, None)
    assert first.kv_bytes == engine.session_bytes(first.budget_tokens)
    units = first.cap_tokens // 4 + (first.cap_tokens - first.budget_tokens) // 4 + 2
    count = units * engine.adapter.frames_per_unit
    for i in range(count):
        session.watch(frames[i % len(frames)], 0.5 * i)
        assert session.memory.tokens <= first.cap_tokens
    memory = session.memory
    assert memory.compressions == 2
    assert memory.peak_tokens <= memory.cap_tokens == engine.cap_tokens(memory.budget_tokens)
    assert memory.frames_seen == count
    assert memory.span is not None
    assert memory.span[1] == 0.5 * (count - 1)
    assert cache.buffer.data_ptr() == address
    assert cache.buffer.isfinite().all()


@pytest.mark.parametrize("family", FAMILIES)
def test_frames_together_are_frames_one_by_one(
    engines: dict[str, Engine], frames: Frames, family: str
) -> None:
    """The same tokens are kept, also across compression passes."""
    engine = engines[family]
    one, many = (engine.open_session(budget_tokens=small(engine, 24)) for _ in range(2))
    count = 37 if family == "llava_onevision" else 901
    seen = [frames[i % len(frames)] for i in range(count)]
    for i, frame in enumerate(seen):
        one.watch(frame, float(i))
    for start in range(0, count, 150):
        part = seen[start : start + 150]
        assert many.watch_many(part, [float(start + i) for i in range(len(part))]) == len(part)
    first, second = one._open_cache(), many._open_cache()
    assert one.memory == many.memory
    assert one.memory.compressions >= 1
    assert torch.equal(first.times, second.times)
    assert torch.equal(first.patches, second.patches)
    length = first.visual_length
    assert torch.allclose(first.visual_keys, second.visual_keys, atol=1e-3)
    assert length == second.visual_length


@pytest.mark.parametrize("family", [*FAMILIES, *LATER])
@pytest.mark.usefixtures("small_units")
def test_what_is_kept_after_five_passes_is_what_was_seen(
    engines: dict[str, Engine], frames: Frames, family: str
) -> None:
    """Values of the first layer depend on a token alone: those of a kept token are those of the
    patch and the time that are kept with it."""
    engine = engines[family]
    group = engine.adapter.frames_per_unit
    session = engine.open_session(budget_tokens=small(engine, 24))
    shape, cap = session._open_cache().shape, session.memory.cap_tokens
    count = 0
    while session.memory.compressions < 5:
        session.watch(frames[count % 40], 0.7 * count)
        assert session.memory.tokens <= cap
        count += 1
    assert 1 <= session.memory.peak_tokens <= cap
    seen = engine.open_session(budget_tokens=count // group * cap // 8, longest_position=10**6)
    seen.watch_many([frames[i % 40] for i in range(count)], [0.7 * i for i in range(count)])
    assert seen.memory.compressions == 0
    dense, kept = seen._open_cache(), session._open_cache()
    length = dense.visual_length
    index = {place: i for i, place in enumerate(_places(dense, 0, 0))}
    assert len(index) == length, "a time and a patch name one token"
    most = engine.adapter.unit_tokens(session._choose_grid(frames[0]))
    recent = session._policy.recent_frames(cap, session.memory.budget_tokens, most) + 1
    newest = sorted({time for time, _ in index})[-recent]
    whole = [i for (time, _), i in index.items() if time >= newest]
    for layer in range(shape.layers):
        for head in range(shape.kv_heads):
            found = [index[place] for place in _places(kept, layer, head)]
            assert found == sorted(set(found)), "in the order in which they came, none twice"
            assert found[-len(whole) :] == whole, "the newest units are whole"
            if layer == 0:
                expected = dense.visual_values[0, head, found]
                assert torch.allclose(kept.visual_values[0, head], expected, atol=1e-5)


def _places(cache: BoundedCache, layer: int, head: int) -> list[tuple[float, int]]:
    """Time and patch of each kept token."""
    kept = slice(0, cache.visual_length)
    times, patches = cache.times[layer, head, kept], cache.patches[layer, head, kept]
    return list(zip(times.tolist(), patches.tolist(), strict=True))


@pytest.mark.parametrize("family", LATER)
@pytest.mark.usefixtures("small_units")
def test_units_with_words_are_the_same_together_and_one_by_one(
    engines: dict[str, Engine], frames: Frames, family: str
) -> None:
    engine = engines[family]
    one, many = (engine.open_session(budget_tokens=small(engine, 24)) for _ in range(2))
    count = 35
    for i in range(count):
        one.watch(frames[i], 7.0 * i)
    assert many.watch_many(frames[:count], [7.0 * i for i in range(count)]) == count
    first, second = one._open_cache(), many._open_cache()
    assert one.memory == many.memory
    assert one.memory.compressions >= 1
    assert torch.equal(first.times, second.times)
    assert torch.equal(first.patches, second.patches)
    assert torch.equal(first.positions, second.positions)
    assert torch.allclose(first.visual_keys, second.visual_keys, atol=1e-3)


def test_what_is_kept_is_from_all_of_the_stream(llava: Engine, frames: Frames) -> None:
    session = watched(llava, frames * 3, budget=48)
    cache = session._open_cache()
    times = cache.times[..., : cache.visual_length]
    assert times.min() < 60, "older than the cap could hold if only the newest stayed"
    window = watched(llava, frames * 3, budget=48, policy="recency")._open_cache()
    assert window.times[..., : window.visual_length].min() >= 120 - window.shape.cap // 4


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        (np.zeros((32, 32, 3), dtype=np.float32), "uint8"),
        (np.zeros((32, 32), dtype=np.uint8), r"\[height, width, 3\]"),
        (np.zeros((32, 32, 4), dtype=np.uint8), r"\[height, width, 3\]"),
        (np.zeros((3, 32, 32), dtype=np.uint8), r"\[height, width, 3\]"),
        (np.zeros((1, 1, 3), dtype=np.uint8), "too small"),
        (np.zeros((15, 300, 3), dtype=np.uint8), "too small"),
        ([[0, 0, 0]], "uint8"),
    ],
)
def test_frames_that_cannot_be_used_are_refused(llava: Engine, frame: object, named: str) -> None:
    session = llava.open_session(budget_tokens=24)
    with pytest.raises(FrameError, match=named):
        session.watch(frame, 0.0)  # type: ignore[arg-type]
    assert session.memory.frames_seen == 0


def test_a_shape_that_the_family_cannot_take_is_refused(engines: dict[str, Engine]) -> None:
    session = engines["qwen2_vl"].open_session()
    with pytest.raises(FrameError, match="shape"):
        session.watch(np.zeros((16, 16 * 300, 3), dtype=np.uint8), 0.0)


@pytest.mark.parametrize("timestamp", [4.0, 3.9, -1.0, math.nan, math.inf])
def test_timestamps_must_rise(llava: Engine, frames: Frames, timestamp: float) -> None:
    session = watched(llava, frames[:5])
    with pytest.raises(FrameError, match="timestamp"):
        session.watch(frames[5], timestamp)
    session.watch(frames[5], 4.5)
    assert session.memory.frames_seen == 6


def test_of_several_frames_none_is_taken_where_one_is_wrong(llava: Engine, frames: Frames) -> None:
    session = watched(llava, frames[:2])
    with pytest.raises(FrameError, match="rise"):
        session.watch_many(frames[2:5], [2.0, 4.0, 3.0])
    with pytest.raises(FrameError, match="timestamps"):
        session.watch_many(frames[2:5], [2.0])
    assert session.memory.frames_seen == 2
    assert session.watch_many([], []) == 0


@pytest.mark.parametrize("family", [*FAMILIES, *LATER])
def test_frames_of_other_sizes_are_resized(engines: dict[str, Engine], family: str) -> None:
    session = engines[family].open_session()
    for i, size in enumerate([(480, 640), (360, 480), (64, 64), (1080, 1920), (17, 16)]):
        session.watch(np.zeros((*size, 3), dtype=np.uint8), float(i))
    assert session.memory.frames_seen == 5
    assert session.memory.tokens <= 5 * engines[family].adapter.most_tokens_per_unit


def test_a_read_only_or_flipped_frame_is_as_good_as_any(llava: Engine, frames: Frames) -> None:
    session = watched(llava, frames[:1])
    frozen = frames[1].copy()
    frozen.flags.writeable = False
    session.watch(frozen, 1.0)
    session.watch(np.zeros((48, 40, 3), dtype=np.uint8)[:, ::-1, ::-1], 2.0)
    assert session.memory.frames_seen == 3


# -- asking -------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [*FAMILIES, *LATER])
def test_an_answer_leaves_the_memory_bit_for_bit(
    engines: dict[str, Engine], frames: Frames, family: str
) -> None:
    engine = engines[family]
    session = watched(engine, frames[:21], small(engine, 24))
    cache = session._open_cache()
    visual = cache.buffer[:, :, :, : cache.shape.prefix + cache.shape.cap]
    before, memory = visual.clone(), session.memory
    answer = session.ask("what is it?", Sampling(max_tokens=9))
    pieces = list(answer)
    assert "".join(pieces) == answer.text
    assert answer.status in ("completed", "incomplete")
    assert 0 < answer.completion_tokens <= 9
    assert answer.span == memory.span
    assert torch.equal(visual, before)
    assert session.memory == memory
    assert cache.scratch_length == 0


def test_the_same_question_gets_the_same_answer(llava: Engine, frames: Frames) -> None:
    session = watched(llava, frames, history_turns=0)
    sampled = Sampling(max_tokens=20, temperature=1.0, seed=5)
    assert list(session.ask("what?", sampled)) == list(session.ask("what?", sampled))
    assert list(session.ask("what?")) == list(session.ask("what?"))


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_a_cancelled_answer_stops_at_once_and_leaves_no_trace(
    llava: Engine, frames: Frames, steps: int
) -> None:
    session = watched(llava, frames)
    cache = session._open_cache()
    before = cache.visual_keys.clone(), cache.visual_values.clone()
    answer = session.ask("what is it?", Sampling(max_tokens=50, temperature=3.0, seed=1))
    for _ in range(steps):
        assert answer.step() is not None
    answer.cancel()
    assert answer.status == "cancelled"
    assert answer.step() is None
    assert cache.scratch_length == 0
    assert torch.equal(cache.visual_keys, before[0])
    assert torch.equal(cache.visual_values, before[1])
    assert session.transcript == []
    list(session.ask("and now?"))
    assert len(session.transcript) == 1
    answer.cancel()  # again, after another answer: nothing happens
    assert len(session.transcript) == 1


def test_an_exception_ends_the_answer_and_the_session_goes_on(
    llava: Engine, frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = watched(llava, frames)
    answer = session.ask("what is it?")
    answer.step()
    with monkeypatch.context() as patch:
        patch.setattr(answer._sampler, "choose", lambda logits: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            answer.step()
    assert answer.status == "cancelled"
    assert session._open_cache().scratch_length == 0
    assert list(session.ask("what is it?")) is not None


@pytest.mark.parametrize("family", [*FAMILIES, *LATER])
def test_an_answer_does_not_see_what_comes_later(
    engines: dict[str, Engine], frames: Frames, family: str
) -> None:
    engine = engines[family]
    sampling = Sampling(max_tokens=16, temperature=1.0, seed=3)
    calm = list(watched(engine, frames[:5], small(engine, 24)).ask("what?", sampling))
    session = watched(engine, frames[:5], small(engine, 24))
    answer = session.ask("what?", sampling)
    pieces = []
    time = 4.0
    while (piece := answer.step()) is not None:
        pieces.append(piece)
        if session.can_watch:
            time += 1.0
            session.watch(frames[int(time) % 40], time)
    assert [piece for piece in pieces if piece] == calm
    assert answer.span == (0.0, 4.0)
    assert session.memory.span == (0.0, time)
    assert time > 5.0


def test_a_full_memory_waits_for_the_answer(llava: Engine, frames: Frames) -> None:
    session = llava.open_session(budget_tokens=24)  # room for 6 + 8 frames
    session.watch_many(frames[:12], [float(i) for i in range(12)])
    answer = session.ask("what is it?", Sampling(max_tokens=5))
    assert session.can_watch
    assert session.watch_many(frames[12:18], [float(i) for i in range(12, 18)]) == 2
    assert not session.can_watch
    with pytest.raises(SessionBusy, match="hold"):
        session.watch(frames[14], 14.0)
    assert session.memory.frames_seen == 14
    assert session.memory.compressions == 0
    list(answer)
    assert session.can_watch
    session.watch(frames[14], 14.0)
    assert session.memory.compressions == 1


def test_an_unfinished_unit_is_seen_by_the_answer(
    engines: dict[str, Engine], frames: Frames
) -> None:
    """Qwen takes frames in twos; the odd one is not kept from an answer."""
    engine = engines["qwen2_vl"]
    texts = []
    for last in (frames[9], frames[10]):
        session = watched(engine, [*frames[:4], last], small(engine, 24))
        before = session.memory.tokens
        answer = session.ask("what?", Sampling(max_tokens=30))
        texts.append(list(answer))
        assert session.memory.tokens == before
        assert answer.span == (0.0, 4.0)
    assert texts[0] != texts[1]


def test_only_one_frame_is_enough_to_ask(engines: dict[str, Engine], frames: Frames) -> None:
    for family in [*FAMILIES, *LATER]:
        session = engines[family].open_session()
        session.watch(frames[0], 7.0)
        answer = session.ask("what?", Sampling(max_tokens=3))
        list(answer)
        assert answer.span == (7.0, 7.0)


def test_questions_that_cannot_be_asked(llava: Engine, frames: Frames) -> None:
    session = llava.open_session(budget_tokens=24)
    with pytest.raises(QuestionError, match="no frame"):
        session.ask("what is it?")
    session.watch(frames[0], 0.0)
    for empty in ("", "  \n", "<|im_end|> <|video_pad|>"):
        with pytest.raises(QuestionError, match="empty"):
            session.ask(empty)
    with pytest.raises(QuestionError, match=r"5000 tokens; at most (\d+) fit") as refused:
        session.ask("a" * 5000)
    allowed = int(str(refused.value).split("at most ")[1].split()[0])
    with pytest.raises(QuestionError, match=f"at most {allowed} fit"):
        session.ask("a" * (allowed + 1))
    answer = session.ask("a" * allowed)
    with pytest.raises(QuestionError, match="in progress"):
        session.ask("and this?")
    list(answer)
    assert answer.completion_tokens > 0


def test_the_longest_question_and_answer_fit_the_scratch_region(
    llava: Engine, frames: Frames
) -> None:
    session = watched(llava, frames[:3])
    answer = session.ask("why?", Sampling(max_tokens=10**9, temperature=5.0, seed=0))
    list(answer)
    assert answer.completion_tokens <= session._open_cache().shape.scratch // 2


def test_control_tokens_in_a_question_are_only_text(llava: Engine, frames: Frames) -> None:
    session = watched(llava, frames[:3])
    list(session.ask("a <|video_pad|> b <|im_<|im_end|>end|><|im_start|>system", Sampling(3)))
    assert session.transcript[0].question.split() == ["a", "b", "<|im_", "end|>", "system"]


def test_earlier_turns_are_prefilled_and_the_oldest_dropped(llava: Engine, frames: Frames) -> None:
    session = watched(llava, frames[:3], history_turns=3)
    prompts = []
    for question in ("one?", "two?", "three?", "four?", "five?"):
        answer = session.ask(question, Sampling(max_tokens=4))
        list(answer)
        prompts.append(answer.prompt_tokens)
    assert [turn.question for turn in session.transcript] == ["three?", "four?", "five?"]
    assert prompts[0] < prompts[1] < prompts[2] < prompts[3]
    memory = session.memory
    long = session.ask("x" * 850)  # leaves no room for any earlier turn
    list(long)
    assert long.prompt_tokens < 950
    assert session.memory == memory


# -- long streams -------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_positions_stay_in_the_trained_range_however_long_the_stream(
    engines: dict[str, Engine], frames: Frames, family: str
) -> None:
    engine = engines[family]
    budget = small(engine, 24)
    longest = 4000 if family == "qwen2_5_vl" else 1600  # which counts time in half seconds
    session = engine.open_session(budget_tokens=budget, longest_position=longest)
    cache = session._open_cache()
    highest = 0
    count = 900 if family == "llava_onevision" else 4000
    for start in range(0, count, 100):
        part = [frames[i % 40] for i in range(start, start + 100)]
        session.watch_many(part, [float(start + i) for i in range(100)])
        kept = cache.positions[..., : cache.visual_length]
        assert (kept.diff(dim=-1) >= 0).all()
        assert kept.min() >= cache.shape.prefix
        highest = max(highest, int(kept.max()))
        assert session._timeline.highest == max(int(kept.max()), session._timeline.highest)
        assert session._timeline.highest + 1024 < longest
    assert highest > 200
    assert session._timeline._origin is not None
    assert session._timeline._origin.unit > 0, "positions were made compact at least once"
    answer = session.ask("what?", Sampling(max_tokens=5))
    assert list(answer) is not None


@pytest.mark.parametrize("family", LATER)
@pytest.mark.usefixtures("small_units")
def test_units_with_words_stay_in_the_trained_range(
    engines: dict[str, Engine], frames: Frames, family: str
) -> None:
    engine = engines[family]
    longest = 1600 if family == "llava_next_video" else 2600
    session = engine.open_session(budget_tokens=small(engine, 24), longest_position=longest)
    cache = session._open_cache()
    for i in range(300):
        session.watch(frames[i % 40], float(i))
        assert (cache.positions[..., : cache.visual_length] <= session._timeline.highest).all()
        assert session._timeline.highest + 1024 < longest
    assert (cache.positions[..., : cache.visual_length].diff(dim=-1) >= 0).all()
    assert session._timeline._origin is not None
    assert session._timeline._origin.unit > 0, "positions were made compact at least once"
    assert list(session.ask("what?", Sampling(max_tokens=5))) is not None


@pytest.mark.parametrize("family", LATER)
def test_units_far_along_are_made_compact_like_near_ones(
    engines: dict[str, Engine], frames: Frames, family: str
) -> None:
    """Words and grid move together along each axis, and keys turn with them."""
    engine, kept = engines[family], []
    adapter = engine.adapter
    for begun in (0, 3000):
        session = engine.open_session(budget_tokens=800)
        session._timeline.highest += begun
        session.watch_many(frames[:24], [float(i) for i in range(24)])
        cache = session._open_cache()
        length = cache.visual_length
        before = cache.positions[..., :length].clone()
        assert session._grid is not None
        places, stride = adapter.slot(session._grid)
        cache.compact(adapter.time_frequencies(), stride, stride, 10**5, places)
        after = cache.positions[..., :length]
        same = cache.times[..., 1:length] == cache.times[..., : length - 1]
        assert torch.equal(before.diff(dim=-1)[same], after.diff(dim=-1)[same])
        assert after.max() < 3000
        kept.append((after, cache.visual_keys[0]))
    assert torch.equal(kept[0][0], kept[1][0])
    assert (kept[0][1] - kept[1][1]).abs().max() <= 1e-3


def test_a_stream_made_compact_answers_like_one_that_was_not(llava: Engine, frames: Frames) -> None:
    """Nothing was evicted between, so that only the rotation differs: none at all is lost."""
    session = watched(llava, frames[:10], budget=200)
    cache = session._open_cache()
    expected = cache.visual_keys.clone()
    adapter = llava.adapter
    shifted = cache.positions.clone()
    cache.positions += 3000
    cache.visual_keys.copy_(
        torch.stack(
            [
                _rotated(keys, shifted[i, :, :40], adapter.time_frequencies())
                for i, keys in enumerate(cache.visual_keys)
            ]
        )
    )
    end = cache.compact(adapter.time_frequencies(), 4, 4, 2000)
    assert end == cache.shape.prefix + 40
    assert torch.equal(cache.positions[..., :40], shifted[..., :40])
    assert (cache.visual_keys - expected).abs().max() <= 1e-3


def _rotated(keys: torch.Tensor, old: torch.Tensor, frequencies: torch.Tensor) -> torch.Tensor:
    """`keys` moved on by 3000 positions, in float64."""
    by = (old + 3000)[..., None].float() * frequencies
    by = by.double() - (old[..., None].float() * frequencies).double()
    first, second = keys.double().chunk(2, -1)
    return torch.cat(
        (first * by.cos() - second * by.sin(), second * by.cos() + first * by.sin()), -1
    ).float()


# -- the end ------------------------------------------------------------------------------------


def test_closing_frees_the_buffer_even_while_an_answer_is_held(
    llava: Engine, frames: Frames
) -> None:
    before = llava.pool.used_bytes
    session = watched(llava, frames[:3])
    cache = weakref.ref(session._open_cache())
    answer = session.ask("what?")
    answer.step()
    session.close()
    session.close()
    gc.collect()
    assert cache() is None
    assert llava.pool.used_bytes == before
    assert answer.status == "cancelled"
    assert answer.step() is None
    for use in (lambda: session.ask("what?"), lambda: session.watch(frames[3], 3.0)):
        with pytest.raises(RuntimeError, match="closed"):
            use()
