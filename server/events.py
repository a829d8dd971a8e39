"""What a client may say on the websocket, and how it is read: the Realtime API's names for text."""

from typing import Annotated, Any, Final, Literal

import msgspec

from messages.questions import LONGEST_STOP, MOST_STOPS
from server.errors import ClientError

MESSAGE_BYTES: Final = 65536
_LONGEST_EVENT_ID: Final = 512


class InputText(msgspec.Struct, frozen=True, tag_field="type", tag="input_text"):
    """One part of a question."""

    text: str


class InputImage(msgspec.Struct, frozen=True, tag_field="type", tag="input_image"):
    """A picture that belongs to a question, as a `data:image/…;base64,…` URL. It is seen as a
    frame of the present moment; `detail` changes nothing."""

    image_url: str
    detail: Literal["auto", "low", "high"] | None = None


Identity = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class UserMessage(msgspec.Struct, frozen=True, tag_field="type", tag="message"):
    """A question. `id` is what the item is to be called."""

    role: Literal["user"]
    content: Annotated[list[InputText | InputImage], msgspec.Meta(min_length=1, max_length=64)]
    id: Identity | None = None

    @property
    def text(self) -> str:
        """The question's words."""
        texts = [part.text for part in self.content if isinstance(part, InputText)]
        return "\n".join(texts).strip()

    @property
    def pictures(self) -> list[str]:
        """The pictures' URLs."""
        return [part.image_url for part in self.content if isinstance(part, InputImage)]


class ItemCreate(msgspec.Struct, frozen=True, tag_field="type", tag="conversation.item.create"):
    """Adds a question to the conversation; the next response answers it."""

    item: UserMessage
    event_id: str | None = None


Tokens = Annotated[int, msgspec.Meta(ge=1)] | Literal["inf"]
TextOnly = Annotated[list[Literal["text"]], msgspec.Meta(min_length=1)]
Nothing = Annotated[list[Any], msgspec.Meta(max_length=0)]
StopSequence = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_STOP)]
Label = Annotated[str, msgspec.Meta(max_length=512)]


class ResponseOptions(msgspec.Struct, frozen=True):
    """How to write an answer; temperature 0 is greedy. The answer ends before any of `stop`;
    `metadata` comes back with the response. What is known only so that it can be refused:
    `instructions` other than the session's, `tools`, and `input`."""

    max_output_tokens: Tokens | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.0
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    stop: Annotated[list[StopSequence], msgspec.Meta(max_length=MOST_STOPS)] | None = None
    metadata: Annotated[dict[Label, Label], msgspec.Meta(max_length=16)] | None = None
    output_modalities: TextOnly | None = None
    conversation: Literal["auto"] | None = None
    instructions: str | None = None
    tools: Nothing | None = None
    input: Nothing | None = None


class ResponseCreate(msgspec.Struct, frozen=True, tag_field="type", tag="response.create"):
    """Answers what was asked since the last response."""

    response: ResponseOptions = ResponseOptions()
    event_id: str | None = None


class ResponseCancel(msgspec.Struct, frozen=True, tag_field="type", tag="response.cancel"):
    """Stops a response; without response_id, the one being written."""

    response_id: str | None = None
    event_id: str | None = None


class SessionOptions(msgspec.Struct, frozen=True):
    """What a client wants of its session. `max_output_tokens` holds for the answers that this
    websocket asks for; what else a text-only client says must agree with what is."""

    type: Literal["realtime"] | None = None
    model: str | None = None
    instructions: str | None = None
    output_modalities: TextOnly | None = None
    max_output_tokens: Tokens | None = None
    tools: Nothing | None = None
    tool_choice: Literal["auto", "none"] | None = None
    audio: None = None
    prompt: None = None


class SessionUpdate(msgspec.Struct, frozen=True, tag_field="type", tag="session.update"):
    """Sets the length of answers; refused where it would change what is fixed."""

    session: SessionOptions
    event_id: str | None = None


class MemoryDescribe(msgspec.Struct, frozen=True, tag_field="type", tag="lookback.memory.describe"):
    """Asks for a description of every kept token."""

    event_id: str | None = None


ClientEvent = ItemCreate | ResponseCreate | ResponseCancel | SessionUpdate | MemoryDescribe
_KNOWN: Final = (
    "conversation.item.create",
    "response.create",
    "response.cancel",
    "session.update",
    "lookback.memory.describe",
)

# Of the Realtime API, but not for a conversation of text with a camera's memory.
_UNSUPPORTED: Final = (
    ("input_audio_buffer.", "sound is not listened to; ask in text (input_text)."),
    ("output_audio_buffer.", "answers are text; response.cancel stops one."),
    ("conversation.item.truncate", "answers are text; response.cancel stops one."),
    (
        "conversation.item.delete",
        "what was said is part of the session's memory, which cannot forget a single turn; the "
        "oldest go first. A new session (POST /v1/sessions) begins without any.",
    ),
    (
        "conversation.item.retrieve",
        "items are not kept to be read again; conversation.item.done and response.output_item.done "
        "tell each when it is complete, and `after` in the address repeats them.",
    ),
    ("transcription_session.", "sound is not listened to; ask in text (input_text)."),
)
_HINTS: Final = {
    "response.conversation": " Every answer is part of the session's conversation.",
    "response.input": " Questions come by conversation.item.create; leave it out.",
    "response.tools": " No tools can be called from here; leave them out.",
    "session.tools": " No tools can be called from here; leave them out.",
    "session.audio": " Sound is not listened to, and answers are text; leave it out.",
    "item.role": " Only the user asks; instructions are given to POST /v1/sessions.",
}


def event_id_of(text: str) -> str | None:
    """The event's own id, for the error about it, where one can be read at all."""
    try:
        raw = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    event_id = raw.get("event_id") if isinstance(raw, dict) else None
    return event_id[:_LONGEST_EVENT_ID] if isinstance(event_id, str) else None


def parse(text: str, longest: int = MESSAGE_BYTES) -> ClientEvent:
    """A client's event, of at most MESSAGE_BYTES, or `longest` where pictures are in it. Raises
    ClientError that names the part to change."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > longest:
        raise _too_large(longest)
    try:
        raw: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ClientError("invalid_json", f"An event is one JSON object: {error}.") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("type"), str):
        raise ClientError("invalid_event", "An event is a JSON object with a type.", param="type")
    unsupported = next((why for name, why in _UNSUPPORTED if raw["type"].startswith(name)), None)
    if unsupported is not None:
        raise ClientError("unsupported_event", f"{raw['type'][:80]}: {unsupported}", param="type")
    if raw["type"] not in _KNOWN:
        raise ClientError(
            "unknown_event_type",
            f"There is no event {raw['type'][:80]!r} here; there are {', '.join(_KNOWN)}.",
            param="type",
        )
    try:
        event: ClientEvent = msgspec.convert(raw, ClientEvent)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        param = where.strip("`").removeprefix("$.") or None
        place = f" at {param}" if param else ""
        hint = _HINTS.get((param or "").partition("[")[0], "")
        raise ClientError("invalid_event", f"{what}{place}.{hint}", param=param) from error
    if size > MESSAGE_BYTES and not (isinstance(event, ItemCreate) and event.item.pictures):
        raise _too_large(MESSAGE_BYTES)
    return event


def _too_large(limit: int) -> ClientError:
    return ClientError("message_too_large", f"This event may have at most {limit} bytes.")
