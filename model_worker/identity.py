"""What template and tokenizer make of a conversation, as a hash."""

import hashlib
import json
from typing import Final

from model_worker.families.base import FamilyAdapter
from model_worker.families.template import Turn

_SIZE: Final = 16  # bytes of the hash
_PROBES: Final[tuple[tuple[list[Turn], str, str], ...]] = (
    ([], "?", ""),
    ([Turn("What is it?", "A red bicycle, 12 km away.")], "Où? 何 😀", ""),
    ([], "?", "Be brief."),
)


def identify_template(adapter: FamilyAdapter) -> str:
    """A hash of the token ids that template and tokenizer make of a few conversations, and of the
    text around a unit of frames."""
    found = hashlib.blake2b(digest_size=_SIZE)
    for turns, question, instructions in _PROBES:
        try:
            ids: object = adapter.conversation(turns, question, instructions)
        except ValueError:  # a template without a place for instructions
            ids = None
        found.update(json.dumps(ids).encode())
    around = adapter.unit_text(3, [4.5] * adapter.frames_per_unit)
    found.update(json.dumps([around.before, around.after]).encode())
    return found.hexdigest()
