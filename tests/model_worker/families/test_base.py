"""What every adapter shares: the conversation and the forward pass."""

import pytest

from model_worker.checkpoint import ModelError
from model_worker.engine import Engine
from model_worker.families import find_family
from model_worker.families.base import Turn

FAMILIES = ["llava_onevision", "qwen2_vl", "qwen2_5_vl"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_conversation_is_the_chat_template_around_the_video(
    engines: dict[str, Engine], family: str
) -> None:
    adapter = engines[family].adapter
    before, after = adapter.conversation([Turn("one?", "Yes.")], "two?")
    prefix, suffix = adapter.tokenizer.decode(before), adapter.tokenizer.decode(after)
    end = "" if family == "llava_onevision" else "<|vision_end|>"
    assert prefix == "<|im_start|>user\n" + end.replace("end", "start")
    assert suffix == (
        f"{end}one?<|im_end|>\n<|im_start|>assistant\nYes.<|im_end|>\n"
        "<|im_start|>user\ntwo?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert adapter.conversation([], "three?")[0] == before


def test_a_template_without_a_place_for_a_video_is_refused(
    llava: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llava.adapter, "_template", "{{ messages[0]['role'] }}")
    with pytest.raises(ModelError, match="0 video tokens"):
        llava.adapter.conversation([], "what?")


def test_answers_end_at_the_end_of_turn_token(llava: Engine) -> None:
    assert llava.adapter.stop_ids() == {llava.adapter.tokenizer.eos_token_id}


def test_an_unknown_family_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match="llava_onevision, qwen2_5_vl, qwen2_vl"):
        find_family("llama")
