"""A conversation in the words of a chat template, in which nobody speaks for it."""

from typing import Any

import pytest
from jinja2 import TemplateError

from model_worker.families.template import ChatTemplate, Turn


class Tokenizer:
    """Its template writes a line a message, its video a control token."""

    all_special_tokens = ("<end>",)

    def get_added_vocab(self) -> dict[str, int]:
        return {"<end>": 0, "<end>>": 1}

    def apply_chat_template(self, messages: list[Any], chat_template: str | None, **_: Any) -> str:
        if chat_template == "strict" and messages[0]["role"] == "system":
            raise TemplateError("no system role")
        heard = [m for m in messages if chat_template != "deaf" or m["role"] != "system"]
        return "\n".join(
            f"{message['role']}: "
            + "".join(part.get("text", "<video>") for part in message["content"])
            for message in heard
        )


def test_the_video_comes_first() -> None:
    template = ChatTemplate(Tokenizer(), None)
    assert template.render([Turn("one?", "Yes.")], "two?", "") == (
        "user: <video>one?\nassistant: Yes.\nuser: two?"
    )
    assert template.render([], "what?", " Be brief. ") == "system: Be brief.\nuser: <video>what?"


@pytest.mark.parametrize("source", ["strict", "deaf"])
def test_no_place_for_instructions_is_told(source: str) -> None:
    template = ChatTemplate(Tokenizer(), source)
    assert template.render([], "what?", "") == "user: <video>what?"
    with pytest.raises(ValueError, match="leave them out"):
        template.render([], "what?", "Be brief.")


def test_what_is_the_templates_cannot_be_said() -> None:
    template = ChatTemplate(Tokenizer(), None)
    assert template.uncontrolled("a<end>b<end>>c<video>") == "a b c<video>"
    template.keep("<video>")
    assert template.uncontrolled("a<video>b<end>") == "a b "
    assert template.render([], "what?", "<end>") == "user: <video>what?"
