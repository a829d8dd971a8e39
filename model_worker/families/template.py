"""The words of a conversation about one video, as a checkpoint's chat template puts them."""

from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

_NO_SYSTEM = "the chat template of this model has no place for instructions: leave them out"


@dataclass(frozen=True)
class Turn:
    """One question and its answer."""

    question: str
    answer: str


class ChatTemplate:
    """`source`: the template; None: the tokenizer's own."""

    def __init__(self, tokenizer: Any, source: str | None) -> None:
        self.source = source
        self._tokenizer = tokenizer
        self._controls: list[str] = []
        self.keep(*tokenizer.all_special_tokens, *tokenizer.get_added_vocab())

    def keep(self, *texts: str) -> None:
        """These are the template's own: nobody else can say them."""
        self._controls = sorted({*self._controls, *texts}, key=len, reverse=True)

    def uncontrolled(self, text: str) -> str:
        """Text without the tokenizer's control tokens, so that what is said stays what is said."""
        for control in self._controls:
            text = text.replace(control, " ")
        return text

    def render(self, turns: list[Turn], question: str, instructions: str) -> str:
        """The whole conversation, the video at its beginning. Raises ValueError where the template
        has no place for instructions."""
        messages: list[dict[str, Any]] = []
        for turn in turns:
            messages += [_said("user", turn.question), _said("assistant", turn.answer)]
        messages.append(_said("user", question))
        messages[0]["content"].insert(0, {"type": "video"})
        instructions = self.uncontrolled(instructions).strip()
        if not instructions:
            return self._apply(messages)
        try:
            text = self._apply([_said("system", instructions), *messages])
        except TemplateError as error:
            raise ValueError(f"{_NO_SYSTEM} ({error})") from error
        if instructions not in text:
            raise ValueError(_NO_SYSTEM)
        return text

    def _apply(self, messages: list[dict[str, Any]]) -> str:
        text: str = self._tokenizer.apply_chat_template(
            messages,
            chat_template=self.source,
            tokenize=False,
            add_generation_prompt=True,
        )
        return text


def _said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}
