"""Every message comes back as it was, and what is none of ours is refused."""

import msgspec
import pytest

from messages.answers import AnswerDelta, AnswerDone, AnswerStarted, Span
from messages.codec import (
    MalformedMessage,
    ToGateway,
    ToWorker,
    decode_card,
    decode_frame,
    decode_piece,
    decode_record,
    decode_to_gateway,
    decode_to_worker,
    encode,
)
from messages.files import Imported, Piece, SaveSession
from messages.frames import Frame, FrameRejected
from messages.memory import DescribeMemory, MemoryDescribed
from messages.questions import Ask, Cancel
from messages.sessions import (
    CloseSession,
    MemoryStatus,
    OpenSession,
    SessionClosed,
    SessionMoved,
    SessionOpened,
    SessionRecord,
    SessionRefused,
)

TO_WORKER: list[ToWorker] = [
    CloseSession("s"),
    Ask("s", "r", "what?", 5, 0.5, 0.9, 7, ("\n", "end"), metadata={"a": "b"}),
    Cancel("s", "r"),
    DescribeMemory("s"),
    SaveSession("s", "c", "8-bit"),
]
TO_GATEWAY: list[ToGateway] = [
    SessionOpened("s", "m", 64, 96, 1000, "w", (96, 96), 9216),
    SessionMoved("s", "w", True, 1.5, True, "why"),
    SessionRefused("s", "full", 2.0),
    SessionClosed("s", "failed", "why"),
    MemoryStatus("s", 9, 9, 96, 1000, 1, 0, 0, (0.0, 1.0), 5.0),
    MemoryDescribed(
        "s", [0.0, 1.5], 3, b"\x00\xff\x80\x01\x02\x03", 1, 2, 5, 64, 96, 1000, 10, (0.0, 1.5),
        91, None, 2, 1,
    ),
    FrameRejected("s", 3, "junk"),
    AnswerStarted("s", "r", Span(0.0, 1.5, 0.2), 4, 2),
    AnswerDelta("s", "r", 0, "text"),
    AnswerDone("s", "r", "incomplete", "text", "", 5, 1, 0.1, 0.2),
]  # fmt: skip


def test_what_goes_to_the_worker_comes_back_as_it_was() -> None:
    assert [decode_to_worker(encode(message)) for message in TO_WORKER] == TO_WORKER
    assert {type(message) for message in TO_WORKER} == set(ToWorker.__args__)


def test_what_goes_to_the_gateway_comes_back_as_it_was() -> None:
    assert [decode_to_gateway(encode(message)) for message in TO_GATEWAY] == TO_GATEWAY
    assert {type(message) for message in TO_GATEWAY} == set(ToGateway.__args__)


def test_every_message_has_a_tag_of_its_own() -> None:
    kinds = [*ToWorker.__args__, *ToGateway.__args__, Frame, Piece]
    assert len({kind.__struct_config__.tag for kind in kinds}) == len(kinds)


@pytest.mark.parametrize("decode", [decode_to_worker, decode_to_gateway, decode_frame, decode_card])
@pytest.mark.parametrize("junk", [b"", b"\x00", b"\xc1", msgspec.msgpack.encode({"type": "ask"})])
def test_junk_is_refused(decode: object, junk: bytes) -> None:
    assert callable(decode)
    with pytest.raises(MalformedMessage):
        decode(junk)


def test_what_a_message_does_not_say_takes_its_default() -> None:
    said = {"type": "ask", "session": "s", "response": "r", "text": "what?"}
    assert decode_to_worker(msgspec.msgpack.encode(said)) == Ask("s", "r", "what?")
    begun = {"type": "answer.started", "session": "s", "response": "r", "span": None}
    assert decode_to_gateway(msgspec.msgpack.encode(begun)) == AnswerStarted("s", "r", None, 0, 0)


def test_a_record_comes_back_as_it_was() -> None:
    wanted = OpenSession("s", 64, "Answer in one word.")
    opened = SessionOpened("s", "m", 64, 96, 1000)
    record = SessionRecord(2, wanted, 3.0, 1e9, opened, b"1-0", "key", "party")
    assert decode_record(encode(record)) == record
    imported = Imported("c", None, 5, 4.5)
    record = SessionRecord(2, wanted, 3.0, 1e9, imported=imported)
    assert decode_record(encode(record)) == record
    with pytest.raises(MalformedMessage):
        decode_record(b"\xff")


def test_a_piece_of_a_file_comes_back_as_it_was() -> None:
    for piece in (Piece(b"\x00\xff"), Piece(last=True), Piece(problem="no room", last=True)):
        assert decode_piece(encode(piece)) == piece
    with pytest.raises(MalformedMessage):
        decode_piece(b"\xff")
