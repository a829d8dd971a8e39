"""What is no whole and sound snapshot of this model is refused, and harms nothing."""

import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_worker.decoding import Sampling
from model_worker.engine import Engine
from model_worker.memory.container import MAGIC, SnapshotError
from model_worker.memory.pool import PoolFull
from model_worker.snapshot_header import OPTIONS
from tests.model_worker.snapshot_files import NOISE, Files, put_together, snapshots, taken_apart
from tests.model_worker.watching import small, watched


@pytest.fixture(scope="module", autouse=True)
def small_units() -> Iterator[None]:
    """Qwen's units have at most 4 visual tokens, as by the fixture of a single test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("model_worker.families.qwen2_vl._MOST_TOKENS", 4)
        yield


@pytest.fixture(scope="module")
def qwen(engines: dict[str, Engine]) -> Engine:
    return engines["qwen2_5_vl"]


@pytest.fixture(scope="module")
def whole(qwen: Engine) -> Files:
    return snapshots(qwen)


def refused(engine: Engine, data: bytes) -> str:
    """Why; and nothing is left of it."""
    used = engine.pool.used_tokens
    with pytest.raises(SnapshotError) as caught:
        engine.restore(data)
    assert engine.pool.used_tokens == used
    return str(caught.value)


@settings(deadline=None, max_examples=80)
@given(data=st.data(), option=st.sampled_from(OPTIONS))
def test_any_changed_byte_is_found(
    qwen: Engine, whole: Files, data: st.DataObject, option: str
) -> None:
    damaged = bytearray(whole[option])
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at] ^= data.draw(st.integers(1, 255))
    refused(qwen, bytes(damaged))


@settings(deadline=None, max_examples=40)
@given(data=st.data(), option=st.sampled_from(OPTIONS))
def test_a_file_that_is_cut_short_is_refused(
    qwen: Engine, whole: Files, data: st.DataObject, option: str
) -> None:
    cut = whole[option][: data.draw(st.integers(0, len(whole[option]) - 1))]
    said = refused(qwen, cut)
    assert "cut short in" in said or len(cut) < 16


@settings(deadline=None, max_examples=20)
@given(sizes=st.lists(st.integers(0, 5000), min_size=1, max_size=50))
def test_it_comes_in_pieces_of_any_length(qwen: Engine, whole: Files, sizes: list[int]) -> None:
    data, pieces, at = whole["exact"], [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    session = qwen.restore([*pieces, data[at:]])
    assert b"".join(qwen.snapshot(session)) == data
    session.close()


def test_damage_is_named(qwen: Engine, whole: Files) -> None:
    data = bytearray(whole["exact"])
    at = bytes(data).index(b"VALS\x01\x00\x00\x00")
    data[at + 40] ^= 1
    assert refused(qwen, bytes(data)) == "the snapshot is damaged in chunk VALS 1"
    data = bytearray(whole["exact"])
    data[30] ^= 1
    assert refused(qwen, bytes(data)) == "the snapshot is damaged in the header"


def test_what_is_no_snapshot_is_refused(qwen: Engine, whole: Files) -> None:
    assert refused(qwen, b"") == "the snapshot is empty"
    assert "no snapshot" in refused(qwen, b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert "no snapshot" in refused(qwen, whole["exact"].replace(b"\r\n", b"\n"))
    assert "goes on after its end" in refused(qwen, whole["exact"] + b"\n")
    newer = MAGIC + struct.pack("<I", 7) + whole["exact"][12:]
    assert "version 7 and this Lookback reads up to 1" in refused(qwen, newer)


def test_chunks_of_another_snapshot_are_found(qwen: Engine, whole: Files) -> None:
    """Sound chunks, each with its right checksum in its own file."""
    session = watched(qwen, NOISE[::-1], small(qwen, 1))
    other = b"".join(qwen.snapshot(session))
    session.close()
    header, chunks = taken_apart(whole["exact"])
    assert put_together(header, chunks) == whole["exact"]
    ours, theirs = whole["exact"].index(b"KEYS\x02"), other.index(b"KEYS\x02")
    end = whole["exact"].index(b"VALS\x02") - ours
    spliced = whole["exact"][:ours] + other[theirs : theirs + end] + whole["exact"][ours + end :]
    assert len(spliced) == len(whole["exact"])
    assert refused(qwen, spliced) == "the snapshot is damaged in chunk KEYS 2"
    swapped = [*chunks[:2], *chunks[5:8], *chunks[2:5], *chunks[8:]]
    assert "damaged in chunk SEEN 0" in refused(qwen, put_together(header, swapped))


def test_another_model_is_told_apart(
    checkpoints: dict[str, Path],
    engines: dict[str, Engine],
    whole: Files,
    spoil: Callable[[Path, Callable[[dict[str, torch.Tensor]], object]], None],
    tmp_path: Path,
) -> None:
    said = refused(engines["internvl"], whole["exact"])
    assert "of the family qwen2_5_vl; here is internvl" in said

    def copied(name: str) -> Path:
        (tmp_path / name).mkdir()
        for file in checkpoints["qwen2_5_vl"].iterdir():
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
        return tmp_path / name

    Engine.load(copied("same")).restore(whole["exact"])
    tuned = copied("tuned")
    spoil(tuned, lambda tensors: tensors[max(tensors)].mul_(1.01))
    assert "another model" in refused(Engine.load(tuned), whole["exact"])
    reworded = copied("reworded")
    template = reworded / "chat_template.jinja"
    template.write_text(template.read_text().replace("assistant", "oracle"))
    said = refused(Engine.load(reworded), whole["exact"])
    assert "another chat template" in said


def test_a_memory_too_large_for_here_is_refused(checkpoints: dict[str, Path], whole: Files) -> None:
    """Never fits, and does not fit now, are two errors."""
    engine = Engine.load(checkpoints["qwen2_5_vl"])
    header, _ = taken_apart(whole["exact"])
    taken = engine.session_bytes(header["shape"]["budget"])
    engine.reserve(taken // 2)
    assert "raise kv_bytes" in refused(engine, whole["exact"])
    engine.reserve(taken)
    first = engine.restore(whole["exact"])
    with pytest.raises(PoolFull):
        engine.restore(whole["exact"])
    first.close()
    engine.restore(whole["exact"])


FORGED: list[tuple[str, dict[str, Any]]] = [
    ("memory cannot be had", {"shape.budget": 2**31 - 1}),
    ("memory cannot be had", {"shape.budget": 1}),
    ("a layers of 4", {"shape.layers": 4}),
    ("a prefix of 5000", {"shape.prefix": 5000}),
    ("a scratch of", {"shape.scratch": 2**31 - 1}),
    ("contradicts itself", {"memory.tokens": 2**31 - 1}),
    ("contradicts itself", {"memory.peak_tokens": 3}),
    ("contradicts itself", {"watching.units": 2**31 - 1}),
    ("contradicts itself", {"watching.pending": [0.0] * 5}),
    ("contradicts itself", {"watching.pending": [99.0]}),
    ("contradicts itself", {"watching.newest": None}),
    ("contradicts itself", {"watching.frames": 0}),
    ("contradicts itself", {"watching.grid": None}),
    ("contradicts itself", {"conversation.turns_in_all": 0}),
    ("newer than the newest frame", {"watching.newest": 3.0, "watching.pending": [2.0]}),
    ("size that the model does not take", {"watching.grid.height": 2**31 - 1}),
    ("size that the model does not take", {"watching.grid.rows": 3}),
    ("policy 'fifo' is unknown here; known: full, hermes", {"policy.name": "fifo"}),
    ("has other parameters here", {"policy.parameters": {"sharpness": 0.5}}),
    ("recent_ratio must lie between", {"policy.parameters": {"recent_ratio": 7}}),
    ("header cannot be read", {"timeline.highest": 2**40}),
    ("header cannot be read", {"timeline.origin.position": -4}),
    ("header cannot be read", {"memory.tokens": "many"}),
    ("header cannot be read", {"model": []}),
    ("header cannot be read", {"surprise": 1}),
    ("header cannot be read", {"option": "pickle"}),
    ("damaged in chunk KEYS 0", {"dtype": "bfloat16"}),
    ("memory cannot be had here", {"conversation.instructions": "word " * 5000}),
]


@pytest.mark.parametrize(("why", "changes"), FORGED, ids=lambda each: str(each)[:40])
def test_a_forged_header_is_refused(
    qwen: Engine, whole: Files, why: str, changes: dict[str, Any]
) -> None:
    """Its checksums are right. Whatever sizes it claims, no memory is taken for them."""
    header, chunks = taken_apart(whole["exact"])
    for path, value in changes.items():
        *parents, name = path.split(".")
        place = header
        for parent in parents:
            place = place[parent]
        place[name] = value
    data = put_together(header, chunks)
    qwen.identity  # noqa: B018  # made before memory is counted
    tracemalloc.start()
    try:
        assert why in refused(qwen, data)
        assert tracemalloc.get_traced_memory()[1] < 20 * len(data)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("claimed", [0, 7, 2**40, 2**64 - 1])
def test_a_length_that_cannot_be_is_refused_before_it_is_read(
    qwen: Engine, whole: Files, claimed: int
) -> None:
    at = whole["exact"].index(b"KEYS\x01\x00\x00\x00") + 8
    forged = whole["exact"][:at] + struct.pack("<Q", claimed) + whole["exact"][at + 8 :]
    endless = iter([forged, *[bytes(1 << 16)] * 4])
    with pytest.raises(SnapshotError, match="damaged in chunk KEYS 1"):
        qwen.restore(endless)
    assert len(list(endless)) == 4


@pytest.mark.parametrize("option", ["exact", "entropy"])
@pytest.mark.parametrize("tag", ["SEEN", "KEYS"])
def test_a_bomb_is_not_unpacked(qwen: Engine, whole: Files, tag: str, option: str) -> None:
    header, chunks = taken_apart(whole[option])
    place = next(i for i, chunk in enumerate(chunks) if chunk[0] == tag)
    body = chunks[place][2]
    packed = zlib.compress(bytes(1 << 22), 9)
    room = len(body) if tag == "SEEN" or option == "entropy" else 0
    chunks[place] = (
        tag,
        0,
        (body[: max(0, room - len(packed))] if tag == "KEYS" else b"") + packed,
    )
    assert f"damaged in chunk {tag} 0" in refused(qwen, put_together(header, chunks))


def test_numbers_that_are_none_are_refused(qwen: Engine, whole: Files) -> None:
    header, chunks = taken_apart(whole["exact"])
    place = next(i for i, chunk in enumerate(chunks) if chunk[0] == "VALS")
    body = bytearray(chunks[place][2])
    body[16:20] = struct.pack("<f", float("nan"))
    chunks[place] = ("VALS", 0, bytes(body))
    said = refused(qwen, put_together(header, chunks))
    assert (
        said == "the snapshot is damaged in chunk VALS 0: its keys and values hold NaN or infinity"
    )


def leaves(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a header something stands."""
    if isinstance(node, dict | list) and node:
        inside = node.items() if isinstance(node, dict) else enumerate(node)
        return [leaf for key, value in inside for leaf in leaves(value, (*path, key))]
    return [path]


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_whatever_a_header_says_is_refused_or_goes_on(
    qwen: Engine, whole: Files, data: st.DataObject
) -> None:
    """A session that is restored watches and answers, through a compression pass."""
    header, chunks = taken_apart(whole["8-bit"])
    path = data.draw(st.sampled_from(leaves(header)))
    place = header
    for key in path[:-1]:
        place = place[key]
    scalar = st.none() | st.booleans() | st.integers(-3, 3000) | st.integers() | st.floats(width=32)
    place[path[-1]] = data.draw(scalar | st.text(max_size=5) | st.lists(st.integers(), max_size=2))
    try:
        session = qwen.restore(put_together(header, chunks))
    except SnapshotError:
        return  # else it goes on
    first = max(session.newest, 0.0)
    frames = NOISE[:16]
    session.watch_many(frames, [first + 0.5 * (i + 1) for i in range(len(frames))])
    list(session.ask("what?", Sampling(max_tokens=2)))
    assert session.memory.tokens <= session.memory.cap_tokens
    session.memory.describe()
    session.close()


@settings(deadline=None, max_examples=40)
@given(data=st.data(), option=st.sampled_from(OPTIONS))
def test_whatever_a_chunk_says_is_refused_or_goes_on(
    qwen: Engine, whole: Files, data: st.DataObject, option: str
) -> None:
    """As above, of a forger who knows how checksums are made and zlib packs."""
    header, chunks = taken_apart(whole[option])
    at = data.draw(st.integers(0, len(chunks) - 1))
    tag, index, body = chunks[at]
    raw = bytearray(zlib.decompress(body) if tag == "SEEN" else body)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    chunks[at] = (tag, index, zlib.compress(raw) if tag == "SEEN" else bytes(raw))
    try:
        session = qwen.restore(put_together(header, chunks))
    except SnapshotError:
        return  # else it goes on
    for second in range(20, 60):
        session.watch(NOISE[second % 16], float(second))
    try:
        list(session.ask("what?", Sampling(max_tokens=2)))
    except ArithmeticError:
        assert tag in ("KEYS", "VALS", "FRAM")  # of numbers that are too large
    assert session.memory.compressions > 1
    session.memory.describe()
    session.close()
