"""A question on its way to the worker, and the wish to stop its answer."""

from typing import Final

import msgspec

MOST_WAITING: Final = 16
"""Questions of one session that a worker lets wait, apart from the one that it answers."""
MOST_STOPS: Final = 4
LONGEST_STOP: Final = 64
"""Characters of a stop sequence at most: so much text may be held back."""


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """One question. Temperature 0 is greedy decoding; an answer ends before any of the texts
    in `stop` (at most MOST_STOPS of 1 to LONGEST_STOP characters), which are no part of it. `trace`
    is the question's W3C traceparent."""

    session: str
    response: str
    text: str
    max_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    metadata: dict[str, str] | None = None
    """The asker's own: no worker reads it, but the gateway that adopts the session."""
    trace: str | None = None
    told: str | None = None
    """The id of the event by which clients were told of it."""


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop an answer within one token, or withdraw a question that waits; unknown or finished
    answers are left alone."""

    session: str
    response: str
