"""The format is what docs/snapshots.md says: read by that alone."""

import zlib
from typing import Any

import numpy as np
import pytest

from model_worker.engine import Engine
from model_worker.snapshot_header import OPTIONS
from tests.model_worker.snapshot_files import snapshots, taken_apart


def numbers_by_hand(body: bytes, header: dict[str, Any], tag: str, patches: Any) -> Any:
    """Keys or values `[kv_heads, prefix + tokens, head_dim]`, by docs/snapshots.md alone."""
    heads, dim = header["shape"]["kv_heads"], header["shape"]["head_dim"]
    prefix, tokens = header["shape"]["prefix"], header["memory"]["tokens"]
    if header["option"] == "exact":
        return np.frombuffer(body, "<f4").reshape(heads, prefix + tokens, dim)
    first = np.frombuffer(body, "<f4", heads * prefix * dim).reshape(heads, prefix, dim)
    shape = (heads, 1, dim) if tag == "KEYS" else (heads, tokens, 1)
    count, at = int(np.prod(shape)), first.nbytes
    scales = np.frombuffer(body, "<f4", count, at).reshape(shape)
    rest = body[at + 4 * count :]
    if header["option"] == "8-bit":
        codes = np.frombuffer(rest, np.int8).reshape(heads, tokens, dim)
    else:
        steps = np.frombuffer(zlib.decompress(rest), np.uint8).reshape(heads, tokens, dim)
        sums = (steps.astype(int).cumsum(axis=1) % 256).astype(np.uint8).view(np.int8)
        codes = np.empty_like(sums)
        for head in range(heads):
            codes[head, np.argsort(patches[head], kind="stable")] = sums[head]
    return np.concatenate((first, codes * scales), axis=1)


@pytest.mark.parametrize("option", OPTIONS)
def test_the_document_says_how_to_read_it(engines: dict[str, Engine], option: str) -> None:
    engine = engines["qwen2_5_vl"]
    whole = snapshots(engine)
    session = engine.restore(whole[option])
    cache, tokens = session.cache, session.memory.tokens
    header, chunks = taken_apart(whole[option])
    assert [tag for tag, *_ in chunks] == ["UNIT", "FRAM"] + ["SEEN", "KEYS", "VALS"] * 3
    assert np.frombuffer(chunks[0][2], "<i4").tolist() == list(session.state.lengths)
    pixels = np.frombuffer(chunks[1][2], "<f4").reshape(3, 32, 32)
    assert np.array_equal(pixels, session.state.pending[0][0].numpy())
    heads = header["shape"]["kv_heads"]
    for layer in range(3):
        seen = zlib.decompress(chunks[2 + 3 * layer][2])
        count = int.from_bytes(seen[:4], "little")
        frames = np.frombuffer(seen, "<f8", count, 4)
        planes = np.frombuffer(seen, np.uint8, offset=4 + 8 * count).reshape(4, -1)
        steps = np.ascontiguousarray(planes.T).view("<i4").reshape(3, heads, tokens)
        numbers, patches, positions = steps.cumsum(axis=2)
        kept = slice(0, tokens)
        assert np.array_equal(frames[numbers], cache.times[layer, :, kept])
        assert np.array_equal(patches, cache.patches[layer, :, kept])
        assert np.array_equal(positions, cache.positions[layer, :, kept])
        for part, tag in enumerate(("KEYS", "VALS")):
            found = numbers_by_hand(chunks[3 + 3 * layer + part][2], header, tag, patches)
            end = header["shape"]["prefix"] + tokens
            assert np.allclose(found, cache.buffer[layer, part, :, :end], rtol=1e-6, atol=0)
    session.close()
