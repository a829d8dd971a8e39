"""What the events and replies of the gateway hold, type by type."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from server.events import InputText

Status = Literal["in_progress", "completed", "cancelled", "incomplete", "failed"]
Tokens = int | Literal["inf"]
Seconds = float


class Part(msgspec.Struct, forbid_unknown_fields=True):
    """A part of what an event holds."""


class Picture(Part):
    """Where a picture that came with a question stands: seconds of the stream, and pixels."""

    time: Seconds
    width: int
    height: int


class SeenImage(Part, tag_field="type", tag="input_image"):
    """A picture that came with a question; it is not repeated."""

    lookback: Picture


class OutputText(Part, tag_field="type", tag="output_text"):
    """The text of an answer."""

    text: str


class TextPart(Part, tag_field="type", tag="text"):
    """The same, as a part that is being written."""

    text: str


class Item(Part, tag_field="type", tag="message"):
    """A question, or an answer, in the conversation."""

    id: str
    object: Literal["realtime.item"]
    status: Literal["in_progress", "completed", "incomplete"]
    role: Literal["user", "assistant"]
    content: list[InputText | SeenImage | OutputText]


class SessionLimits(Part):
    """The session's memory: kept tokens per layer and head after a compression pass, and at most;
    its size in bytes. What pictures it takes: so many a second, of this width and height, or of
    any shape with at most so many pixels."""

    budget_tokens: int
    cap_tokens: int
    kv_bytes: int
    sampled_per_second: float
    frame_size: tuple[int, int] | None
    max_pixels: int


class RealtimeSession(Part):
    """The session; `max_output_tokens` is how long this websocket's answers are by default."""

    id: str
    object: Literal["realtime.session"]
    type: Literal["realtime"]
    model: str
    instructions: str | None
    output_modalities: list[Literal["text"]]
    max_output_tokens: int
    lookback: SessionLimits


class Basis(Part):
    """What an answer rests on; null until the worker has begun. `span` is seconds of the stream,
    `newest_frame_age` seconds when the answer began."""

    span: tuple[Seconds, Seconds] | None
    newest_frame_age: Seconds | None
    turns_kept: int | None
    turns_forgotten: int | None


class ResponseBasis(Basis):
    """The same with the question. `queue_position` stands in `response.created`: how many answers
    come before. The last two stand in `response.done`, where the worker has said them."""

    question: str
    queue_position: int | UnsetType = UNSET
    ttft_seconds: Seconds | UnsetType | None = UNSET
    queue_seconds: Seconds | UnsetType = UNSET


class Usage(Part):
    """Tokens."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class StatusError(Part):
    """Why an answer failed."""

    type: str
    code: str
    message: str


class StatusDetails(Part):
    """Why an answer ended before it was complete."""

    type: Literal["cancelled", "incomplete", "failed"]
    reason: Literal["max_output_tokens", "client_cancelled"] | UnsetType = UNSET
    message: str | UnsetType = UNSET
    error: StatusError | UnsetType = UNSET


class RealtimeResponse(Part):
    """An answer."""

    id: str
    object: Literal["realtime.response"]
    status: Status
    status_details: StatusDetails | None
    output: list[Item]
    output_modalities: list[Literal["text"]]
    max_output_tokens: int
    metadata: dict[str, str] | None
    usage: Usage | None
    lookback: ResponseBasis


class Memory(Part):
    """The memory as it is. `tokens` are kept per layer and head, of at most `cap_tokens`;
    `frames_dropped` were lost because something was slow."""

    tokens: int
    peak_tokens: int
    cap_tokens: int
    kv_bytes: int
    frames_seen: int
    frames_dropped: int
    compressions: int
    span: tuple[Seconds, Seconds] | None
    newest_frame_age: Seconds | None


class Description(Part):
    """Every kept token. `shares` is base64 of one byte for each of frames x patches."""

    frames: list[Seconds]
    patches: int
    shares: str
    rows: int
    columns: int
    tokens: int
    budget_tokens: int
    cap_tokens: int
    kv_bytes: int
    bytes_per_token: int
    span: tuple[Seconds, Seconds] | None
    next_compression_tokens: int
    next_compaction_positions: int | None
    compressions: int
    position_compactions: int


class Camera(Part):
    """The camera, and the frames of all the session's cameras. `number`: how many there have been;
    a camera that was replaced sees a higher one than its own."""

    state: Literal["none", "connecting", "live", "stalled", "gone"]
    message: str
    number: int
    frames_received: int
    frames_sampled: int
    frames_skipped: int
    frames_sent: int
    frames_dropped: int


class ErrorDetails(Part):
    """What is wrong; `event_id` names the client's event."""

    type: Literal["invalid_request_error", "server_error"]
    code: str
    message: str
    param: str | None
    event_id: str | None
    lookback: "Place | UnsetType" = UNSET


class Place(Part):
    """Where too many questions wait: how many will be answered before, and in about how many
    seconds that will be."""

    queue_position: int
    retry_after_seconds: Seconds


class FramesSession(Part):
    """The session that is sent to."""

    id: str


class FramesLimits(Part):
    """What a frames websocket takes."""

    picture_bytes: int
    picture_pixels: int
    pictures_per_second: float
    formats: list[str]
