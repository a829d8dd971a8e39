"""The shapes of OpenAI's chat completions, as far as a session can answer them.

What would change an answer here, and cannot, is refused; what would not is let pass.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from messages.questions import LONGEST_STOP, MOST_STOPS
from server.text import Text

StopText = Annotated[Text, Field(min_length=1, max_length=LONGEST_STOP)]
Tokens = Annotated[int, Field(ge=1)]
Nothing = Annotated[list[Any], Field(max_length=0)]
Zero = Annotated[float, Field(ge=0, le=0)]


class ImageUrl(BaseModel):
    """A picture, as a `data:image/…;base64,…` URL."""

    url: Text
    detail: Text | None = None


class ContentPart(BaseModel):
    """`text`, or `image_url` for a picture."""

    type: Text
    text: Text | None = None
    image_url: ImageUrl | None = None


class ChatMessage(BaseModel):
    """One message. Only the last, the user's question, is put to the session: it knows its own
    conversation. What a system or developer message says must be the session's instructions."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Text | list[ContentPart] | None = None

    @property
    def text(self) -> str:
        """What it says."""
        if not isinstance(self.content, list):
            return (self.content or "").strip()
        return "\n".join(part.text for part in self.content if part.text).strip()

    @property
    def pictures(self) -> list[str]:
        """The URLs of its pictures."""
        if not isinstance(self.content, list):
            return []
        return [part.image_url.url for part in self.content if part.image_url is not None]


class StreamOptions(BaseModel):
    """`include_usage`: a last chunk counts the tokens."""

    include_usage: bool = False


class ResponseFormat(BaseModel):
    """Answers are text."""

    type: Literal["text"]


class ChatRequest(BaseModel):
    """A question to the session whose id is `model`. Temperature 0, greedy decoding, is the
    default here."""

    model: Text
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: Tokens | None = None
    max_tokens: Tokens | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None
    stop: StopText | Annotated[list[StopText], Field(max_length=MOST_STOPS)] | None = None
    n: Literal[1] | None = None
    logprobs: Literal[False] | None = None
    modalities: list[Literal["text"]] | None = None
    response_format: ResponseFormat | None = None
    tools: Nothing | None = None
    tool_choice: Literal["none", "auto"] | None = None
    functions: Nothing | None = None
    frequency_penalty: Zero | None = None
    presence_penalty: Zero | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None
    audio: None = None


class Usage(BaseModel):
    """Tokens: the question's with its conversation, and the answer's."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Answer(BaseModel):
    """The answer's text."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    """The one answer. `length`: it reached the tokens that were asked for."""

    index: Literal[0] = 0
    message: Answer
    finish_reason: Literal["stop", "length"]
    logprobs: None = None


class ChatCompletion(BaseModel):
    """An answer. `lookback` says what it rests on, as in the Realtime events."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    lookback: dict[str, Any]


class Delta(BaseModel):
    """The next piece."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(BaseModel):
    """A piece of the one answer."""

    index: Literal[0] = 0
    delta: Delta
    finish_reason: Literal["stop", "length"] | None = None
    logprobs: None = None


class ChatChunk(BaseModel):
    """One `data:` line of a stream, which ends with `data: [DONE]`. The first chunk, sent when
    the answer begins, and the last have `lookback`."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
    lookback: dict[str, Any] | None = None


class Model(BaseModel):
    """A loaded model, or a session by its id."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["lookback"] = "lookback"


class Models(BaseModel):
    """The loaded models. Sessions are not listed: whoever knows an id may use the session."""

    object: Literal["list"] = "list"
    data: list[Model]
