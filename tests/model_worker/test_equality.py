"""Below the budget, a stream gives what one `transformers` forward over everything gives."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model_worker.answer import Answer
from model_worker.decoding import Sampling
from model_worker.engine import Engine
from model_worker.session import Session

Frames = list[NDArray[np.uint8]]
CLIP_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)
CLIP_STD = np.array([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)
SECONDS = 1.5  # between frames


def whole_inputs(engine: Engine, frames: Frames, text: str) -> dict[str, Any]:
    """What a `transformers` processor makes of a conversation about `frames`."""
    config, tokenizer = engine.adapter.config, engine.adapter.tokenizer
    pixels = torch.from_numpy((np.stack(frames) / np.float32(255) - CLIP_MEAN) / CLIP_STD)
    pixels = pixels.float().permute(0, 3, 1, 2)
    inputs: dict[str, Any] = {}
    if engine.family == "llava_onevision":
        video_tokens = len(frames) * 4 + 1
        inputs["pixel_values_videos"] = pixels[None]
    else:
        if len(frames) % 2:
            pixels = torch.cat((pixels, pixels[-1:]))
        side = 32 // 8
        units = len(pixels) // 2
        patches = pixels.view(units, 2, 3, side // 2, 2, 8, side // 2, 2, 8)
        patches = patches.permute(0, 3, 6, 4, 7, 2, 1, 5, 8).reshape(units * side * side, -1)
        video_tokens = units * 4
        inputs["pixel_values_videos"] = patches
        inputs["video_grid_thw"] = torch.tensor([[units, side, side]])
        if engine.family == "qwen2_5_vl":
            inputs["second_per_grid_ts"] = torch.tensor([2 * SECONDS])
    video = tokenizer.convert_ids_to_tokens(config.video_token_id)
    assert text.count(video) == 1
    ids = tokenizer(text.replace(video, video * video_tokens), return_tensors="pt").input_ids
    inputs["input_ids"] = ids
    inputs["attention_mask"] = torch.ones_like(ids)
    if engine.family != "llava_onevision":
        inputs["mm_token_type_ids"] = (ids == config.video_token_id).int() * 2
    return inputs


def conversation(engine: Engine, *said: str) -> str:
    """Question, answer, question ... as the tokenizer's own chat template writes them."""
    roles = ("user", "assistant")
    messages: list[dict[str, Any]] = [
        {"role": roles[i % 2], "content": [{"type": "text", "text": text}]}
        for i, text in enumerate(said)
    ]
    messages[0]["content"].insert(0, {"type": "video"})
    text: str = engine.adapter.tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )
    return text


def first_logits(answer: Answer) -> torch.Tensor:
    while answer._logits is None:
        answer.step()
    return answer._logits


def check(engine: Engine, session: Session, frames: Frames, said: list[str]) -> str:
    """Ask the last of `said`; compare logits and greedy tokens. Returns the answer."""
    inputs = whole_inputs(engine, frames, conversation(engine, *said))
    engine.adapter.model.model.rope_deltas = None
    with torch.no_grad():
        expected = engine.adapter.model(**inputs).logits[0, -1]
        tokens = engine.adapter.model.generate(**inputs, max_new_tokens=24, do_sample=False)
    answer = session.ask(said[-1], Sampling(max_tokens=24))
    logits = first_logits(answer)
    assert (logits - expected).abs().max() <= 1e-4
    assert expected.std() > 0.05, "the reference says nothing"
    ids = []
    choose = answer._sampler.choose
    answer._sampler.choose = lambda logits: ids.append(choose(logits)) or ids[-1]  # type: ignore
    text = "".join(answer)
    assert ids == tokens[0, inputs["input_ids"].shape[1] :].tolist()
    assert text == engine.adapter.tokenizer.decode(ids, skip_special_tokens=True)
    return text


@pytest.mark.parametrize("family", ["llava_onevision", "qwen2_vl", "qwen2_5_vl"])
@pytest.mark.parametrize("count", [2, 7, 12])
@pytest.mark.parametrize("together", [False, True])
def test_stream_equals_one_forward(
    engines: dict[str, Engine], frames: Frames, family: str, count: int, together: bool
) -> None:
    engine = engines[family]
    session = engine.open_session(budget_tokens=2000)
    seen = frames[:count]
    times = [SECONDS * i for i in range(count)]
    if together:
        assert session.watch_many(seen, times) == count
    else:
        for frame, time in zip(seen, times, strict=True):
            session.watch(frame, time)
    first = check(engine, session, seen, ["what is it now?"])
    # A second turn, after more was seen.
    session.watch(frames[count], SECONDS * count)
    check(engine, session, frames[: count + 1], ["what is it now?", first, "and before?"])
