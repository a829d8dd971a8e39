"""Below the budget, a stream gives what one `transformers` forward over everything gives."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers.models.internvl.processing_internvl import InternVLProcessor
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor
from transformers.models.smolvlm import processing_smolvlm
from transformers.models.smolvlm.processing_smolvlm import SmolVLMProcessor

from model_worker.decoding import Sampling
from model_worker.engine import Engine
from model_worker.session import Session

Frames = list[NDArray[np.uint8]]
CLIP_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)
CLIP_STD = np.array([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)
SECONDS = 1.5  # between frames


QWEN = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
FAMILIES = ["llava_onevision", *QWEN, "llava_next_video", "smolvlm", "internvl"]


def video_text(family: str, count: int) -> str:
    """What the family's own processor writes in the place of a video of `count` frames."""
    indices, rate = [int(SECONDS * 2) * i for i in range(count)], 2.0
    if family == "qwen3_vl":
        processor = SimpleNamespace(
            image_processor=SimpleNamespace(merge_size=2),
            video_processor=SimpleNamespace(merge_size=2, temporal_patch_size=2),
            vision_start_token="<|vision_start|>",
            video_token="<|video_pad|>",
            vision_end_token="<|vision_end|>",
        )
        processor._calculate_timestamps = lambda *args: Qwen3VLProcessor._calculate_timestamps(
            processor, *args
        )
        metadata = SimpleNamespace(fps=rate, frames_indices=indices)
        grids = torch.tensor([[(count + 1) // 2, 4, 4]])
        made = {"video_grid_thw": grids, "video_metadata": [metadata]}
        return str(Qwen3VLProcessor.replace_video_token(processor, made, 0))
    if family == "internvl":
        processor = SimpleNamespace(
            start_image_token="<img>",
            end_image_token="</img>",
            image_token="<IMG_CONTEXT>",
            image_seq_length=4,
        )
        made = {"pixel_values_videos": [torch.zeros(count, 3, 32, 32)]}
        return str(InternVLProcessor.replace_video_token(processor, made, 0))
    if family == "smolvlm":
        processor = SimpleNamespace(
            image_token="<image>",
            fake_image_token="<fake_token_around_image>",
            global_image_token="<global-img>",
            image_seq_len=4,
        )
        times = [i / rate for i in indices]
        metadata = SimpleNamespace(fps=rate, timestamps=times, duration=times[-1])
        made = {"pixel_values": torch.zeros(1, count, 1), "video_metadata": [metadata]}
        with pytest.MonkeyPatch.context() as patch:  # num2words is not needed for the rest
            patch.setattr(processing_smolvlm, "num2words", str)
            text = str(SmolVLMProcessor.replace_video_token(processor, made, 0))
        # A stream knows neither the number of its frames nor its duration.
        opening, frames = text.split(" video.\n", 1)
        assert opening.startswith(
            f"You are provided the following series of {count} frames from a "
        )
        return f"You are provided the following series of frames from a video.\n{frames}"
    if family in ("qwen2_vl", "qwen2_5_vl"):
        return "<|video_pad|>" * ((count + 1) // 2 * 4)
    if family == "llava_next_video":
        return "<video>" * (count * 4)
    return "<|video_pad|>" * (count * 4 + 1)


def whole_inputs(engine: Engine, frames: Frames, text: str) -> dict[str, Any]:
    """What a `transformers` processor makes of a conversation about `frames`."""
    family, tokenizer = engine.family, engine.adapter.tokenizer
    half = family in ("qwen3_vl", "smolvlm")
    mean, std = (np.float32(0.5), np.float32(0.5)) if half else (CLIP_MEAN, CLIP_STD)
    pixels = torch.from_numpy((np.stack(frames) / np.float32(255) - mean) / std)
    pixels = pixels.float().permute(0, 3, 1, 2)
    inputs: dict[str, Any] = {}
    if family in QWEN:
        if len(frames) % 2:
            pixels = torch.cat((pixels, pixels[-1:]))
        side = 32 // 8
        units = len(pixels) // 2
        patches = pixels.view(units, 2, 3, side // 2, 2, 8, side // 2, 2, 8)
        patches = patches.permute(0, 3, 6, 4, 7, 2, 1, 5, 8).reshape(units * side * side, -1)
        inputs["pixel_values_videos"] = patches
        inputs["video_grid_thw"] = torch.tensor([[units, side, side]])
        if family == "qwen2_5_vl":
            inputs["second_per_grid_ts"] = torch.tensor([2 * SECONDS])
    elif family == "internvl":
        inputs["pixel_values"] = pixels
    elif family == "smolvlm":
        inputs["pixel_values"] = pixels[None]
    else:
        inputs["pixel_values_videos"] = pixels[None]
    video = "<video>" if family in ("llava_next_video", "smolvlm", "internvl") else "<|video_pad|>"
    assert text.count(video) == 1
    text = text.replace(video, video_text(family, len(frames)))
    ids = tokenizer(text, return_tensors="pt").input_ids
    inputs["input_ids"] = ids
    inputs["attention_mask"] = torch.ones_like(ids)
    if family in QWEN:
        inputs["mm_token_type_ids"] = (ids == engine.adapter.config.video_token_id).int() * 2
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


def check(engine: Engine, reference: Any, session: Session, frames: Frames, said: list[str]) -> str:
    """Ask the last of `said`; compare logits and greedy tokens. Returns the answer."""
    inputs = whole_inputs(engine, frames, conversation(engine, *said))
    reference.model.rope_deltas = None
    with torch.no_grad():
        expected = reference(**inputs).logits[0, -1]
        tokens = reference.generate(**inputs, max_new_tokens=24, do_sample=False)
    answer = session.ask(said[-1], Sampling(max_tokens=24))
    heard: list[torch.Tensor] = []
    ids: list[int] = []
    choose = answer._sampler.choose

    def listen(logits: torch.Tensor) -> int:
        heard.append(logits)
        ids.append(choose(logits))
        return ids[-1]

    answer._sampler.choose = listen  # type: ignore[method-assign]
    text = "".join(answer)
    assert (heard[0] - expected).abs().max() <= 1e-4
    assert expected.std() > 0.05, "the reference says nothing"
    assert ids == tokens[0, inputs["input_ids"].shape[1] :].tolist()
    assert text == engine.adapter.tokenizer.decode(ids, skip_special_tokens=True)
    return text


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("count", [2, 7, 12])
@pytest.mark.parametrize("together", [False, True])
def test_stream_equals_one_forward(
    engines: dict[str, Engine],
    references: dict[str, Any],
    frames: Frames,
    family: str,
    count: int,
    together: bool,
) -> None:
    engine, reference = engines[family], references[family]
    session = engine.open_session(budget_tokens=2000)
    seen = frames[:count]
    times = [SECONDS * i for i in range(count)]
    if together:
        assert session.watch_many(seen, times) == count
    else:
        for frame, time in zip(seen, times, strict=True):
            session.watch(frame, time)
    first = check(engine, reference, session, seen, ["what is it now?"])
    # A second turn, after more was seen.
    session.watch(frames[count], SECONDS * count)
    check(
        engine, reference, session, frames[: count + 1], ["what is it now?", first, "and before?"]
    )
