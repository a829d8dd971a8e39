"""A session as clients see it."""

from typing import Any, Literal

from messages.sessions import OpenSession, SessionOpened


def described(wanted: OpenSession, opened: SessionOpened, fps: float) -> dict[str, Any]:
    """What a client may know when the session begins."""
    return {
        "id": opened.session,
        "object": "realtime.session",
        "model": opened.model,
        "budget_tokens": opened.budget_tokens,
        "cap_tokens": opened.cap_tokens,
        "kv_bytes": opened.kv_bytes,
        "sampled_per_second": fps,
        "frame_size": opened.frame_size,
        "max_pixels": opened.max_pixels,
        "instructions": wanted.instructions,
    }


def realtime(
    description: dict[str, Any], max_output_tokens: int | Literal["inf"]
) -> dict[str, Any]:
    """The same in the shape of the Realtime API."""
    ours = dict(description)
    return {
        "id": ours.pop("id"),
        "object": ours.pop("object"),
        "type": "realtime",
        "model": ours.pop("model"),
        "instructions": ours.pop("instructions"),
        "output_modalities": ["text"],
        "max_output_tokens": max_output_tokens,
        "lookback": ours,
    }
