"""Valid inputs made hostile: texts line by line, files byte by byte, JSON place by place."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

_FOLDER = Path(__file__).parent / "offers"
OFFERS = {path.stem: path.read_bytes().decode() for path in sorted(_FOLDER.iterdir())}
"""As real programs sent them."""

_RAW = (
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 30, "9" * 5000, "1e-999", "-0", "0x1",
    r'"\ud800"', r'"\udfff\ud800"', r'"\u0000"', '"\ufeff"', '"\u202e"', "[" * 3000, '{"a":' * 3000,
    "[" * 200 + "]" * 200, '{"a":1,"a":[],"a":null}', "tru", "", "{}", "[]", "[[]]", '""', "-1",
    "0", '"' + "x" * 9000 + '"', "[" + "0," * 3000 + "0]", "1.5", "2147483648",
    "18446744073709551616",
)  # fmt: skip


class Raw(str):
    """Stands in JSON as it is."""


def written(value: Any) -> str:
    """As JSON, or nearly."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return json.dumps(value)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Each container with each of its keys or indices, all the way down."""
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            found += [(value, key), *_places(value[key])]
    return found


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


def trees(valid: Sequence[Any], keys: Sequence[str] = ()) -> st.SearchStrategy[str]:
    """One of the valid values, as JSON text, with anything put at any of its places, places lost,
    doubled and exchanged, and keys added: some of `keys`, and any."""

    @st.composite
    def tree(draw: st.DrawFn) -> str:
        value = {"": json.loads(json.dumps(draw(st.sampled_from(valid))))}
        for _ in range(draw(st.integers(0, 3))):
            places = _places(value)
            holder, key = draw(st.sampled_from(places))
            match draw(
                st.sampled_from(("put", "put", "raw", "raw", "lose", "swap", "wrap", "add"))
            ):
                case "put":
                    holder[key] = draw(_ANY)
                case "raw":
                    holder[key] = Raw(draw(st.sampled_from(_RAW)))
                case "swap":
                    other, there = draw(st.sampled_from(places))
                    holder[key], other[there] = json.loads(json.dumps([other[there], holder[key]]))
                case "wrap":
                    holder[key] = [holder[key]] if draw(st.booleans()) else {"": holder[key]}
                case "add" if isinstance(holder[key], dict):
                    name = draw(st.sampled_from(keys) if keys else st.text(max_size=9))
                    holder[key][name] = draw(_ANY)
                case "add" if isinstance(holder[key], list):
                    holder[key] += holder[key] * draw(st.integers(1, 70))
                case _ if holder is not value:
                    del holder[key]
        return written(value[""])

    return tree()


_Step = tuple[str, float, float]
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(("cut", "drop", "twice", "swap", "put", "over")),
        st.floats(0, 1, exclude_max=True),
        st.floats(0, 1, exclude_max=True),
    ),
    max_size=6,
)


def _changed(whole: list[Any], steps: Sequence[_Step], piece: Callable[[float], Any]) -> list[Any]:
    """The pieces after each step at its place; `piece` makes what is put in."""
    for what, where, how in steps:
        at = int(where * (len(whole) + 1))
        match what:
            case "cut":
                whole = whole[: max(at, len(whole) // 4)]
            case "drop":
                del whole[at : at + 1]
            case "twice":
                whole[at:at] = whole[at : at + 1 + int(how * 4)]
            case "swap" if at < len(whole):
                other = int(how * len(whole))
                whole[at], whole[other] = whole[other], whole[at]
            case "put":
                whole.insert(at, piece(how))
            case _:
                whole[at : at + 1] = [piece(how)]
    return whole


def lines(texts: Sequence[str], pieces: Sequence[str]) -> st.SearchStrategy[str]:
    """One of the texts with lines dropped, doubled, exchanged, and put in: those of other texts,
    the pieces, and any."""
    pool = [*pieces, *sorted({line for text in texts for line in text.splitlines()})]

    def change(text: str, steps: list[_Step], ending: str, strange: str) -> str:
        def piece(how: float) -> str:
            return (pool[int(how * 2 * len(pool))]) if how < 0.5 else strange

        return ending.join(_changed(text.splitlines(), steps, piece)) + ending

    endings = st.sampled_from(("\r\n", "\r\n", "\n"))
    return st.builds(change, st.sampled_from(texts), _STEPS, endings, st.text(max_size=40))


def damaged(files: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of the files with bytes changed, dropped, doubled and put in, and perhaps cut off."""

    def change(data: bytes, steps: list[_Step]) -> bytes:
        return bytes(_changed(list(data), steps, lambda how: int(how * 256)))

    return st.builds(change, st.sampled_from(files), _STEPS)
