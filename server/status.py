"""All that a gateway knows of the service, for those who run it.

Ids of sessions open them to whoever knows them whole: only their beginnings are told.
"""

import statistics
from collections import Counter
from typing import Any

import msgspec

from server.metrics import Now
from server.observer import Observer
from server.session import Session
from server.sessions import Sessions
from server.workers import Workers


def now(sessions: Sessions, workers: Workers) -> Now:
    """For a scrape."""
    states = Counter(dict.fromkeys(("watching", "idle", "moving"), 0))
    cameras: Counter[tuple[str, str]] = Counter()
    for session in sessions.all():
        states[_state(session)] += 1
        camera = session.cameras.current
        if camera is not None and camera.state != "gone":
            cameras[camera.kind, camera.state] += 1
    return Now(
        sessions=states,
        cameras=cameras,
        workers=workers.cards,
        strangers=workers.strangers,
        queued=workers.queued,
        broker_up=workers.reachable,
    )


def status(sessions: Sessions, workers: Workers, observer: Observer) -> dict[str, Any]:
    """As `Status` in replies.py has it."""
    seconds = sorted(observer.first_text)
    return {
        "broker": "up" if workers.reachable else "away",
        "queue": workers.queued,
        "incompatible_workers": workers.strangers,
        "workers": [msgspec.to_builtins(card) for card in workers.cards],
        "sessions": [_described(session) for session in sessions.all()],
        "latency": {
            "answers": len(seconds),
            "ttft_p50": statistics.median(seconds) if seconds else None,
            "ttft_p95": seconds[int(0.95 * len(seconds))] if seconds else None,
        },
    }


def _described(session: Session) -> dict[str, Any]:
    state, camera = session.state(), session.cameras.current
    memory, counted = state["memory"] or {}, state["camera"]
    return {
        "id": session.name,
        "state": _state(session),
        "worker": session.tenure.worker,
        "camera": None if camera is None else camera.kind,
        "camera_state": counted["state"],
        "frames_received": counted["frames_received"],
        "frames_sent": counted["frames_sent"],
        "frames_dropped": counted["frames_dropped"],
        "tokens": memory.get("tokens", 0),
        "cap_tokens": state["cap_tokens"],
        "kv_bytes": state["kv_bytes"],
        "websockets": state["websockets"],
        "answering": state["responses"]["running"] is not None,
        "questions_waiting": state["responses"]["queued"],
    }


def _state(session: Session) -> str:
    if session.tenure.moving:
        return "moving"
    return "watching" if session.watching else "idle"
