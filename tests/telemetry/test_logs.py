"""Lines that a program can read, with the ids of what they are about."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from telemetry.logs import about, configure, short


@pytest.fixture(autouse=True)
def _root() -> Iterator[None]:
    """Logging as it was before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_json_line_is_one_object_with_its_traceback_and_what_it_is_about() -> None:
    stream = io.StringIO()
    configure("worker", "info", "json", stream)
    log = logging.getLogger("model_worker.runner")
    with about(session="abcdefgh", request="r1"):
        log.info("a frame of\ntwo lines", extra={"frame": 7})
        try:
            raise ValueError("no")
        except ValueError:
            log.exception("it failed: %s", "ü")
    log.debug("too quiet")
    log.warning("about nothing")
    first, second, third = _lines(stream)
    assert first["time"].endswith("Z") and first["part"] == "worker"
    assert (first["level"], first["logger"]) == ("info", "model_worker.runner")
    assert (first["message"], first["frame"]) == ("a frame of\ntwo lines", 7)
    assert (first["session"], first["request"]) == ("abcdefgh", "r1")
    assert second["message"] == "it failed: ü" and "ValueError: no" in second["exception"]
    assert "session" not in third and "request" not in third


def test_text_lines_name_part_and_request() -> None:
    stream = io.StringIO()
    configure("gateway", "info", "text", stream)
    with about(request="r1", session="s1"):
        logging.getLogger("server.app").info("listening")
    logging.getLogger("server.app").info("still")
    first, second = stream.getvalue().splitlines()
    assert first.endswith("gateway INFO server.app: listening [request r1]")
    assert second.endswith("gateway INFO server.app: still")


async def test_a_task_keeps_what_it_was_begun_about() -> None:
    stream = io.StringIO()
    configure("gateway", "info", "json", stream)

    async def speak() -> None:
        await asyncio.sleep(0)
        logging.getLogger("x").info("later")

    with about(session="one", request="r1"):
        with about(session="two", request=None):
            task = asyncio.create_task(speak())
        other = asyncio.create_task(speak())
    await asyncio.gather(task, other)
    first, second = _lines(stream)
    assert first["session"] == "two" and "request" not in first
    assert (second["session"], second["request"]) == ("one", "r1")


def test_no_line_has_an_id_that_opens_anything() -> None:
    assert short("A" * 22) == "A" * 8
    assert short("resp_" + "B" * 22) == "resp_" + "B" * 8
    assert short("a_b" + "C" * 19) == ("a_b" + "C" * 19)[:8]  # ids are base64url: they have _
