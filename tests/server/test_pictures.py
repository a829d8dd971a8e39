"""Pictures that come with questions: frames of the present moment, seen before the answer."""

import asyncio
import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from messages.questions import Ask


def picture(level: int, kind: str = "PNG", size: tuple[int, int] = (64, 48)) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.full((size[1], size[0], 3), level, np.uint8)).save(buffer, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def item(text: str, *urls: str) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "input_image", "image_url": url} for url in urls]
    if text:
        content.append({"type": "input_text", "text": text})
    message = {"id": "item_mine", "type": "message", "role": "user", "content": content}
    return {"type": "conversation.item.create", "item": message, "event_id": "q"}


async def test_a_question_about_its_pictures_is_asked_when_they_are_seen(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    worker.watching = False
    async with tools.talking(gateway, session) as client:
        # Alike, and in no time, and yet both are taken.
        await client.send(item("what is it?", picture(90), picture(91, "JPEG")))
        added = (await client.until("conversation.item.added"))["item"]
        assert added["id"] == "item_mine"
        assert [part["type"] for part in added["content"]] == ["input_image"] * 2 + ["input_text"]
        one, other = (part["lookback"] for part in added["content"][:2])
        assert one == {"time": 0.0, "width": 64, "height": 48} and 0 < other["time"] < 5
        await client.send({"type": "response.create"})
        await client.until("response.created")
        await asyncio.sleep(0.3)
        assert not worker.of(Ask, session)
        worker.watching = True
        assert (await client.until("response.done"))["response"]["status"] == "completed"
    frames = [f for f in worker.frames if f.session == session]
    assert [f.timestamp for f in frames] == [one["time"], other["time"]]
    assert [f.number for f in frames] == [0, 1]
    with Image.open(io.BytesIO(frames[1].jpeg)) as image:
        assert image.size == (96, 96)
    [ask] = worker.of(Ask, session)
    assert ask.text == "what is it?"


async def test_a_picture_stands_among_the_cameras_frames(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client, tools.sending(gateway, session):
        await client.until("lookback.memory.updated")
        for number in range(3):
            await client.send(item("", picture(40 * number)))
            await client.until("conversation.item.done")
            await asyncio.sleep(0.4)
        await tools.eventually(lambda: sum(f.session == session for f in worker.frames) >= 6)
    times = [f.timestamp for f in worker.frames if f.session == session]
    assert times == sorted(set(times))
    numbers = [f.number for f in worker.frames if f.session == session]
    assert numbers == list(range(len(numbers)))


async def test_a_picture_that_the_worker_never_tells_of_holds_nobody_up_for_ever(
    serve: Any, worker: Any, tools: Any
) -> None:
    gateway = serve(first_frame_seconds=0.5)
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client:
        await client.send(item("", picture(1)))
        await client.until("lookback.memory.updated")
        worker.watching = False
        await client.send(item("and now?", picture(2)))
        await client.send({"type": "response.create"})
        assert (await client.until("response.done"))["response"]["status"] == "completed"


@pytest.mark.parametrize(
    ("urls", "code"),
    [
        (["https://example.org/cup.jpg"], "unsupported_picture_url"),
        (["data:image/jpeg;base64,bm90aGluZw=="], "invalid_picture"),
        ([picture(0), "data:image/jpeg;base64,bm90aGluZw=="], "invalid_picture"),
        ([picture(0, size=(2000, 1200))], "picture_too_large"),
        ([picture(0)] * 5, "too_many_pictures"),
        (["data:image/jpeg;base64," + "A" * 1_400_000], "picture_too_large"),
        (["data:image/jpeg;base64," + "A" * 1_600_000], "message_too_large"),
    ],
)
async def test_what_cannot_be_shown_is_refused_and_nothing_is_asked(
    serve: Any, worker: Any, tools: Any, urls: list[str], code: str
) -> None:
    gateway = serve(picture_bytes=2**20, picture_pixels=1_000_000)
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client:
        await client.send(item("what is it?", *urls))
        assert (await client.error())["code"] == code
        await client.send({"type": "response.create"})
        assert (await client.error())["code"] == "no_question"
    assert not [f for f in worker.frames if f.session == session]


async def test_pictures_with_questions_have_a_rate(serve: Any, tools: Any) -> None:
    session = tools.new_session(gateway := serve(shown_per_second=0.1))
    async with tools.talking(gateway, session) as client:
        for _ in range(8):
            await client.send(item("", picture(5)))
            await client.until("conversation.item.done")
        await client.send(item("", picture(5)))
        assert (await client.error())["code"] == "too_many_pictures"


async def test_a_text_only_client_updates_what_it_may(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway, instructions="Be brief.")
    wanted = {
        "type": "realtime",
        "output_modalities": ["text"],
        "instructions": "Be brief.",
        "max_output_tokens": 7,
        "tools": [],
        "tool_choice": "none",
    }
    async with (
        tools.talking(gateway, session) as client,
        tools.talking(gateway, session) as other,
        tools.sending(gateway, session),
    ):
        await client.send({"type": "session.update", "session": wanted})
        updated = (await client.until("session.updated"))["session"]
        assert updated["max_output_tokens"] == 7 and updated["instructions"] == "Be brief."
        assert set(updated["lookback"]) == {
            "budget_tokens", "cap_tokens", "kv_bytes",
            "sampled_per_second", "frame_size", "max_pixels",
        }  # fmt: skip
        await client.until("lookback.memory.updated")
        for asker, options in ((client, {}), (client, {"max_output_tokens": 9}), (other, {})):
            await asker.ask("hello", **options)
        # Everybody hears all three.
        for _ in range(3):
            await other.until("response.done")
    assert [ask.max_tokens for ask in worker.of(Ask, session)] in (
        [7, 9, 128],
        [7, 128, 9],
        [128, 7, 9],
    )
