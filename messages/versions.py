"""Of which version a message is that cannot be read otherwise.

Records and cards say it in a field `protocol`, which every version of them has.
"""

import msgspec

from messages.workers import PROTOCOL


class _Versioned(msgspec.Struct):
    protocol: int


_decoder = msgspec.msgpack.Decoder(_Versioned)


def of_another_version(data: bytes) -> bool:
    """Whether a SessionRecord's or a WorkerCard's bytes are for others to read; False for junk."""
    try:
        return _decoder.decode(data).protocol != PROTOCOL
    except msgspec.DecodeError:
        return False
