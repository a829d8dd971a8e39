"""Requests: keys and tokens, errors by their types, and patience with a gateway that is full."""

import asyncio
import logging
import re
import ssl
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from lookback_client import (
    Busy,
    Lookback,
    LookbackError,
    NotAllowed,
    SessionLost,
    Token,
    Unreachable,
)
from lookback_client.errors import from_error
from server.api_keys import editing
from tests.clients.conftest import picture, shown
from tests.clients.proxy import proxied
from tests.server.clients import eventually
from tests.server.programs import certificate

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def key(tmp_path: Path) -> tuple[Path, str]:
    """A file of keys, and a key that stands in it."""
    path = tmp_path / "keys.json"
    with editing(path) as file:
        return path, file.create("robot", frozenset({"publish", "ask", "manage"}))


async def test_a_key_opens_and_its_token_opens_one_session(
    serve: Any, key: tuple[Path, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path, secret = key
    url = serve(api_keys_file=path)
    for wrong in (None, "lb_00000000_" + "x" * 43):
        async with Lookback(url, api_key=wrong) as stranger:
            with pytest.raises(NotAllowed) as refused:
                async with stranger.session():
                    pass
            assert refused.value.status == 401
            with pytest.raises(NotAllowed):
                async with stranger.join("x"):
                    pass
    async with Lookback(url, api_key=secret) as lookback, lookback.session() as session:
        both = await session.token(expires_in=600)
        publishing, asking = await session.token(["publish"]), await session.token(["ask"])
        assert (both.session, set(both.scopes)) == (session.id, {"publish", "ask"})
        assert 590 < both.expires_at - time.time() <= 601
        async with (
            Lookback(url) as device,
            device.join(session.id, token=publishing.token) as glasses,
            device.join(session.id, token=asking.token) as phone,
            lookback.session() as elsewhere,
        ):
            await glasses.publish(picture(number) for number in range(99))
            await eventually(lambda: phone.memory)
            assert (await phone.ask("what is it")).text == "what is it"
            with pytest.raises(NotAllowed, match="scope"):
                await glasses.ask("what is it")
            with pytest.raises(NotAllowed, match="scope"):
                await phone.publish(iter([picture(0)]))
            with pytest.raises(LookbackError):
                async with device.join(elsewhere.id, token=both.token):
                    pass
        logged = [
            record.getMessage()
            for record in caplog.records
            if record.name.startswith(("lookback_client", "websockets", "http"))
        ]
        assert logged
        shown_to_others = f"{lookback!r} {session!r} {both!r} {session._gateway!r} {logged}"
    for hidden in (secret, both.token, publishing.token, asking.token):
        assert hidden not in shown_to_others


async def test_a_full_gateway_is_waited_for_in_the_queue(gateway: str, worker: Any) -> None:
    worker.taking = False
    async with Lookback(gateway, patience=20) as lookback:
        first, second = lookback.session(), lookback.session()
        waiting = asyncio.create_task(first.__aenter__())
        await asyncio.sleep(1.5)
        waiting_too = asyncio.create_task(second.__aenter__())
        await asyncio.sleep(1.5)
        assert not waiting.done() and not waiting_too.done()
        async with Lookback(gateway, patience=0) as impatient:
            with pytest.raises(Busy, match="2 sessions wait") as busy:
                async with impatient.session():
                    pass
        worker.taking = True
        await asyncio.wait_for(asyncio.gather(waiting, waiting_too), 20)
        # Each kept its place, though it had to ask several times: who is asking when there is room
        # gets it, so either may have come first.
        turns = {record.wanted.session: record.turn for record in worker.opened}
        assert turns[first.id] < turns[second.id]
        for session in (first, second):
            await session.__aexit__(None, None, None)
    assert (busy.value.code, busy.value.status, busy.value.retry_after) == ("no_room", 503, 2.0)
    assert busy.value.queue_position == 2


async def test_errors_carry_what_the_gateway_says(lookback: Lookback) -> None:
    with pytest.raises(LookbackError) as refused:
        async with lookback.session(instructions="x" * 5000):
            pass
    assert (refused.value.param, refused.value.status) == ("instructions", 422)
    assert refused.value.code and "2000" in refused.value.message
    with pytest.raises(SessionLost):
        async with lookback.join("../../etc/passwd?x=1#"):
            pass


async def test_nobody_there(clip: Path) -> None:
    async with Lookback("http://127.0.0.1:9") as lookback:
        with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:9 does not answer"):
            async with lookback.session():
                pass
        with pytest.raises(Unreachable):
            async with lookback.join("x"):
                pass
    for wrong in ("127.0.0.1:8400", "ftp://x", "http://", "http://me:secret@host"):
        with pytest.raises(ValueError, match="address") as refused:
            Lookback(wrong)
        assert "secret" not in str(refused.value)


async def test_what_is_no_gateway_is_named() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(replies.pop(0))
        writer.close()

    replies = [
        b"HTTP/1.1 301 Moved\r\nLocation: https://there/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\nhi",
    ]
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, Lookback(url) as lookback:
        for words in ("https://there/", "no Lookback gateway", "HTTP 502"):
            with pytest.raises(LookbackError, match=words):
                async with lookback.session():
                    pass
        with pytest.raises(LookbackError, match="HTTP 502"):
            async with lookback.join("x"):
                pass


async def test_certificates_are_looked_at_and_may_be_ones_own(gateway: str, tmp_path: Path) -> None:
    files = certificate(tmp_path)
    there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    there.load_cert_chain(files["cert_file"], files["key_file"])
    here = ssl.create_default_context(cafile=files["cert_file"])
    here.check_hostname = False  # it names none
    async with proxied(gateway, there) as proxy:
        async with Lookback(proxy.url) as lookback:
            with pytest.raises(Unreachable, match="certificate"):
                async with lookback.session():
                    pass
            with pytest.raises(Unreachable, match="certificate"):
                async with lookback.join("x"):
                    pass
        async with Lookback(proxy.url, tls=here) as lookback, lookback.session() as session:
            await shown(session)
            assert (await session.ask("what is it")).text == "what is it"


async def test_proxies_are_passed_by_on_this_machine(
    gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")
    async with Lookback(gateway) as lookback, lookback.session() as session:
        await shown(session)


def test_it_stands_alone() -> None:
    """Nothing of the service is imported, and what only some need not before it is needed."""
    program = (
        "import sys; sys.path.insert(0, 'clients/python'); import lookback_client; "
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(eval(done.stdout))
    assert {"httpx", "websockets", "lookback_client"} <= loaded
    ours = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert {"server", "model_worker", "messages", "broker", "lookback"} <= ours
    assert not loaded & (ours | {"numpy", "av", "PIL", "aiortc", "torch"})


def test_it_is_packed_alone_and_with_the_service() -> None:
    alone, service = (
        tomllib.loads((ROOT / folder / "pyproject.toml").read_text())
        for folder in ("clients/python", ".")
    )
    [package] = alone["tool"]["setuptools"]["packages"]
    assert package in service["tool"]["setuptools"]["packages"]
    assert service["tool"]["setuptools"]["package-dir"][package] == f"clients/python/{package}"
    for typed in (alone, service):
        assert "py.typed" in typed["tool"]["setuptools"]["package-data"][package]
    assert alone["project"]["version"] == service["project"]["version"]
    extras = alone["project"]["optional-dependencies"]
    needed = {*alone["project"]["dependencies"], *extras["video"], *extras["webrtc"]}
    have = {name(wanted) for wanted in service["project"]["dependencies"]}
    assert {name(wanted) for wanted in needed} - {"lookback-client"} <= have


def name(requirement: str) -> str:
    return re.split(r"[\[<>=]", requirement)[0]


def test_a_token_is_not_shown() -> None:
    assert "abc" not in repr(Token("abc", "s", ("ask",), 1.0))


def test_a_websockets_error_says_when_to_ask_again_too() -> None:
    waits = {"queue_position": 9, "retry_after_seconds": 3.4}
    error = {"code": "too_many_questions", "message": "Later.", "lookback": waits}
    busy = from_error(error)
    assert isinstance(busy, Busy)
    assert (busy.queue_position, busy.retry_after) == (9, 3.4)
    assert from_error(error, status=429, retry_after=4.0).retry_after == 4.0
