"""What every adapter shares: the conversation and the forward pass."""

import pytest

from model_worker.checkpoint import ModelError
from model_worker.engine import Engine
from model_worker.families import find_family
from model_worker.families.template import Turn

FAMILIES = ["llava_onevision", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "llava_next_video", "internvl"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_conversation_is_the_chat_template_around_the_video(
    engines: dict[str, Engine], family: str
) -> None:
    adapter = engines[family].adapter
    before, after = adapter.conversation([Turn("one?", "Yes.")], "two?")
    prefix, suffix = adapter.tokenizer.decode(before), adapter.tokenizer.decode(after)
    end = "<|vision_end|>" if family.startswith("qwen") else ""
    begin = "<s>" if family == "llava_next_video" else ""
    assert prefix == begin + "<|im_start|>user\n" + end.replace("end", "start")
    end += "\n" if family == "internvl" else ""
    assert suffix == (
        f"{end}one?<|im_end|>\n<|im_start|>assistant\nYes.<|im_end|>\n"
        "<|im_start|>user\ntwo?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert adapter.conversation([], "three?")[0] == before


def test_a_template_without_a_place_for_a_video_is_refused(
    llava: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llava.adapter._template, "source", "{{ messages[0]['role'] }}")
    with pytest.raises(ModelError, match="0 video tokens"):
        llava.adapter.conversation([], "what?")


def test_answers_end_at_the_end_of_turn_token(llava: Engine) -> None:
    assert llava.adapter.stop_ids() == {llava.adapter.tokenizer.eos_token_id}


def test_an_unknown_family_lists_the_known_ones() -> None:
    known = "internvl, llava_next_video, llava_onevision, qwen2_5_vl, qwen2_vl, qwen3_vl, smolvlm"
    with pytest.raises(ModelError, match=f"'idefics2' is not supported; known: {known}"):
        find_family("idefics2")


@pytest.mark.parametrize(
    ("model_type", "words"),
    [
        ("qwen2", "text-only model"),
        ("llama", "text-only model"),
        ("qwen3_vl_moe", "only dense sizes"),
        ("internvl_chat", "ends in -hf"),
        ("llava_qwen", "ends in -hf"),
    ],
)
def test_what_stands_near_a_family_is_told_apart(model_type: str, words: str) -> None:
    with pytest.raises(ModelError, match=f"{words}.*; known: internvl, "):
        find_family(model_type)


@pytest.mark.parametrize("family", ["qwen3_vl", "smolvlm", "internvl"])
def test_words_around_units_have_room_and_indices_of_their_own(
    engines: dict[str, Engine], family: str
) -> None:
    """The same index is the same word, counted from the grid; clocks stop before it overflows."""
    adapter = engines[family].adapter
    grid = adapter.grid(32, 32)
    named: dict[int, set[int]] = {}
    for index, second in ((0, 0.0), (1, 1.0), (8, 61.5), (99, 7200.0), (10**8 + 7, 1e12)):
        text = adapter.unit_text(index, [second, second + 1.0][: adapter.frames_per_unit])
        lengths = len(text.before), len(text.after)
        assert lengths[0] <= adapter.text_room[0]
        assert lengths[1] <= adapter.text_room[1]
        patches = adapter.unit_patches(grid, *lengths).tolist()
        assert patches[lengths[0] : lengths[0] + 4] == [0, 1, 2, 3]
        assert len(set(patches)) == len(patches) <= adapter.unit_tokens(grid)
        assert max(patches) < adapter.unit_tokens(grid)
        for patch, token in zip(patches[: lengths[0]], text.before, strict=True):
            named.setdefault(patch, set()).add(token)
    nearest = min(named)
    assert len(named[nearest]) == len(named[nearest + 1]) == 1
    assert adapter.most_tokens_per_unit >= adapter.unit_tokens(grid)
