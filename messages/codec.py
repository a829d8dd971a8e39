"""One codec for every message: MessagePack with the message's tag."""

from typing import TypeVar

import msgspec

from messages.answers import AnswerDelta, AnswerDone, AnswerStarted
from messages.files import Piece, SaveSession
from messages.frames import Frame, FrameRejected
from messages.memory import DescribeMemory, MemoryDescribed
from messages.questions import Ask, Cancel
from messages.sessions import (
    CloseSession,
    MemoryStatus,
    SessionClosed,
    SessionMoved,
    SessionOpened,
    SessionRecord,
    SessionRefused,
)
from messages.workers import WorkerCard

ToWorker = CloseSession | Ask | Cancel | DescribeMemory | SaveSession
"""What stands in a session's inbox."""

ToGateway = (
    SessionOpened
    | SessionRefused
    | SessionClosed
    | SessionMoved
    | MemoryStatus
    | MemoryDescribed
    | FrameRejected
    | AnswerStarted
    | AnswerDelta
    | AnswerDone
)
"""What stands on a session's event stream."""

_encoder = msgspec.msgpack.Encoder()
_to_worker_decoder: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_to_gateway_decoder: msgspec.msgpack.Decoder[ToGateway] = msgspec.msgpack.Decoder(ToGateway)
_frame_decoder = msgspec.msgpack.Decoder(Frame)
_card_decoder = msgspec.msgpack.Decoder(WorkerCard)
_record_decoder = msgspec.msgpack.Decoder(SessionRecord)
_piece_decoder = msgspec.msgpack.Decoder(Piece)

T = TypeVar("T")


class MalformedMessage(ValueError):
    """Bytes on the broker that are no message of ours."""


def encode(message: ToWorker | ToGateway | Frame | WorkerCard | SessionRecord | Piece) -> bytes:
    """The message as bytes."""
    return _encoder.encode(message)


def _decode(decoder: "msgspec.msgpack.Decoder[T]", data: bytes) -> T:
    try:
        return decoder.decode(data)
    except msgspec.DecodeError as error:
        raise MalformedMessage(str(error)) from error


def decode_to_worker(data: bytes) -> ToWorker:
    """A control message. Raises MalformedMessage."""
    return _decode(_to_worker_decoder, data)


def decode_to_gateway(data: bytes) -> ToGateway:
    """A session event. Raises MalformedMessage."""
    return _decode(_to_gateway_decoder, data)


def decode_frame(data: bytes) -> Frame:
    """A frame. Raises MalformedMessage."""
    return _decode(_frame_decoder, data)


def decode_card(data: bytes) -> WorkerCard:
    """A worker's card. Raises MalformedMessage."""
    return _decode(_card_decoder, data)


def decode_record(data: bytes) -> SessionRecord:
    """What is known of a session. Raises MalformedMessage."""
    return _decode(_record_decoder, data)


def decode_piece(data: bytes) -> Piece:
    """A piece of a file. Raises MalformedMessage."""
    return _decode(_piece_decoder, data)
