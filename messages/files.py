"""A session's snapshot on its way between a gateway and a worker, through a list on the broker.

Whoever sends waits while PIECES_AHEAD pieces wait there, so that no file fills the broker.
"""

from typing import Final, Literal

import msgspec

PIECE_BYTES: Final = 1 << 20
PIECES_AHEAD: Final = 8
STALLED_SECONDS: Final = 30.0
"""How long either side waits for the other."""
FILE_TTL_SECONDS: Final = 60

Option = Literal["exact", "8-bit", "entropy"]


class Piece(msgspec.Struct, frozen=True, tag="file.piece"):
    """The next bytes. `problem`: why there are no more."""

    data: bytes = b""
    last: bool = False
    problem: str = ""


class SaveSession(msgspec.Struct, frozen=True, tag="session.save"):
    """Send the session's snapshot, as it is now, over this channel."""

    session: str
    channel: str
    option: Option = "exact"


class Imported(msgspec.Struct, frozen=True, tag="session.imported"):
    """A session that begins with a snapshot, which comes over this channel. `model`: only a worker
    that has loaded it is asked, None: any. `frames` it has seen, to the time `seconds`."""

    channel: str
    model: str | None
    frames: int
    seconds: float
