"""Room goes to those who are there: a session whose client left while it waited is closed."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import httpx

from messages.sessions import CloseSession


async def test_a_session_is_closed_that_nobody_waits_for_any_more(
    gateway: str, worker: Any, tools: Any
) -> None:
    worker.taking = False
    address = urlsplit(gateway)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"POST /v1/sessions HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 0\r\n\r\n"
    writer.write(head.encode())
    await writer.drain()
    await asyncio.sleep(0.3)
    writer.close()
    await asyncio.sleep(0.1)
    worker.taking = True
    opened = await tools.eventually(lambda: worker.opened)
    session = opened[0].wanted.session
    await tools.eventually(lambda: worker.of(CloseSession, session))
    reply = await asyncio.to_thread(httpx.get, f"{gateway}/v1/sessions/{session}")
    assert reply.status_code == 404


async def test_a_session_stays_for_who_waited(gateway: str, worker: Any, tools: Any) -> None:
    session = await asyncio.to_thread(tools.new_session, gateway)
    await asyncio.sleep(0.2)
    assert not worker.of(CloseSession, session)
