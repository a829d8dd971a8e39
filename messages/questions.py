"""A question on its way to the worker, and the wish to stop its answer."""

import msgspec


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """One question. Temperature 0 is greedy decoding."""

    session: str
    response: str
    text: str
    max_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop an answer within one token; unknown or finished answers are left alone."""

    session: str
    response: str
