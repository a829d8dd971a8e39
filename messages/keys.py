"""The broker's keys: where each kind of message stands.

| key | type | who writes | what |
|---|---|---|---|
| `lookback:control` | stream, exact MAXLEN 1024 | gateway | open, close, ask, cancel, describe |
| `lookback:frames:{session}` | stream, exact MAXLEN RING | gateway | frames; the oldest goes |
| `lookback:events:{session}` | stream, exact MAXLEN 2048, TTL | worker | what its clients hear |
| `lookback:alive:{session}` | string, TTL | gateway | the session still has somebody |
| `lookback:owner:{session}` | string, TTL | worker | the worker that holds its memory |
| `lookback:worker:{worker}` | string, TTL | worker | its card |

Every stream entry has one field, `m`, which holds the encoded message.
"""

from typing import Final

FIELD: Final = b"m"
CONTROL: Final = "lookback:control"
CONTROL_LENGTH: Final = 1024
RING: Final = 4
EVENTS_LENGTH: Final = 2048
EVENTS_TTL_SECONDS: Final = 600
ALIVE_TTL_SECONDS: Final = 6
CARD_TTL_SECONDS: Final = 4
OWNER_TTL_SECONDS: Final = 60
WORKERS: Final = "lookback:worker:*"


def frames(session: str) -> str:
    return f"lookback:frames:{session}"


def events(session: str) -> str:
    return f"lookback:events:{session}"


def alive(session: str) -> str:
    return f"lookback:alive:{session}"


def owner(session: str) -> str:
    return f"lookback:owner:{session}"


def worker(name: str) -> str:
    return f"lookback:worker:{name}"
