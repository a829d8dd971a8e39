"""What is of another version is known as such, whatever else it holds."""

import msgspec
import pytest

from messages.codec import MalformedMessage, decode_record, encode
from messages.sessions import OpenSession, SessionRecord
from messages.versions import of_another_version
from messages.workers import PROTOCOL


def test_one_that_cannot_be_read_here_is_of_another_version() -> None:
    theirs = msgspec.msgpack.encode({"type": "session.record", "protocol": 99, "wanted": [1, 2]})
    with pytest.raises(MalformedMessage):
        decode_record(theirs)
    assert of_another_version(theirs)


def test_ours_is_not() -> None:
    assert not of_another_version(encode(SessionRecord(PROTOCOL, OpenSession("s"), 0, 0)))


@pytest.mark.parametrize("junk", [b"", b"\xff", b"\x80", b"\xa1x", b"\x81\xa8protocol\xa1x"])
def test_junk_is_nobodys(junk: bytes) -> None:
    assert not of_another_version(junk)
