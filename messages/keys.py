"""The broker's keys: where each kind of message stands.

| key | type | who writes | what |
|---|---|---|---|
| `lookback:queue` | sorted set | both | sessions without a worker, by their turn |
| `lookback:turn` | counter | gateway | the turns that were given so far |
| `lookback:wake` | stream, MAXLEN 1 | gateway | somebody has come to the queue |
| `lookback:session:{session}` | string, TTL | gateway | what was wanted, its SessionRecord |
| `lookback:alive:{session}` | string, TTL | gateway | the session still has somebody |
| `lookback:gateway:{session}` | string, TTL | gateway | who serves it, once somebody has joined |
| `lookback:inbox:{session}` | stream, exact MAXLEN, TTL | gateway | close, ask, cancel, describe |
| `lookback:frames:{session}` | stream, exact MAXLEN RING | gateway | frames; the oldest goes |
| `lookback:events:{session}` | stream, exact MAXLEN, TTL | worker | what its clients hear |
| `lookback:owner:{session}` | string, TTL | worker | the lease: worker and fencing token |
| `lookback:fence:{session}` | counter, TTL | worker | how often the session has had an owner |
| `lookback:former:{session}` | hash, TTL | worker | who had it and is not heard of |
| `lookback:hand:{worker}` | string, TTL | worker | the suspected session that it works on now |
| `lookback:snapshot:{session}` | string, TTL | worker | its memory, written from time to time |
| `lookback:file:{channel}` | list, TTL | both | a few pieces of a snapshot that is on its way |
| `lookback:worker:{worker}` | string, TTL | worker | its card |
| `lookback:free` | sorted set | worker | free KV bytes by worker; -1: takes no session |

Every stream entry has one field, `m`, which holds the encoded message. Ids and names have no colon.
"""

from typing import Final

FIELD: Final = b"m"
QUEUE: Final = "lookback:queue"
TURN: Final = "lookback:turn"
WAKE: Final = "lookback:wake"
FREE: Final = "lookback:free"
AWAY: Final = b"0"
"""A sign of life of somebody who is to ask again: a place in the queue is kept for them, and no
room taken."""
FIRST_IN_LINE: Final = -1.0
"""The turn of sessions that have lost their worker: before all that are new."""
INBOX_LENGTH: Final = 256
RING: Final = 4
EVENTS_LENGTH: Final = 2048
EVENTS_TTL_SECONDS: Final = 600
ENDED_TTL_SECONDS: Final = 60
"""The events of a session that has ended: its gateway reads the last of them at once."""
ALIVE_TTL_SECONDS: Final = 10
"""So long has a gateway that crashed to be back, or another one to come for its sessions."""
GATEWAY_TTL_SECONDS: Final = 3
"""Shorter, so that another gateway may come for a session while it is still kept alive."""
CARD_TTL_SECONDS: Final = 4
LEASE_SECONDS: Final = 4.0
"""An owner renews its lease four times as often."""
FENCE_TTL_SECONDS: Final = 86_400
RECORD_TTL_SECONDS: Final = 3600
DEATHS_SECONDS: Final = 600
"""For so long it counts that a session's worker died."""
WORKERS: Final = "lookback:worker:*"


def session(session: str) -> str:
    return f"lookback:session:{session}"


def alive(session: str) -> str:
    return f"lookback:alive:{session}"


def gateway(session: str) -> str:
    return f"lookback:gateway:{session}"


def inbox(session: str) -> str:
    return f"lookback:inbox:{session}"


def frames(session: str) -> str:
    return f"lookback:frames:{session}"


def events(session: str) -> str:
    return f"lookback:events:{session}"


def owner(session: str) -> str:
    return f"lookback:owner:{session}"


def fence(session: str) -> str:
    return f"lookback:fence:{session}"


def former(session: str) -> str:
    return f"lookback:former:{session}"


def hand(worker: str) -> str:
    return f"lookback:hand:{worker}"


def snapshot(session: str) -> str:
    return f"lookback:snapshot:{session}"


def file(channel: str) -> str:
    return f"lookback:file:{channel}"


def worker(name: str) -> str:
    return f"lookback:worker:{name}"
