"""A network camera: the gateway pulls it, and what becomes of it is known here."""

import asyncio
from typing import Any

import pytest

from lookback_client import CameraError, CameraReplaced, Lookback, LookbackError, Rtsp
from tests.clients.conftest import picture
from tests.server.clients import eventually
from tests.server.scripted_rtsp import Asked, ScriptedCamera


async def test_a_network_camera_is_pulled_until_it_is_stopped_or_replaced(serve: Any) -> None:
    async with (
        ScriptedCamera() as there,
        Lookback(serve(rtsp_hosts=f"127.0.0.1:{there.port}")) as lookback,
        lookback.session() as session,
    ):
        camera = await session.publish(Rtsp(there.url()))
        assert camera.state == "live"
        assert (await session.ask("what is it")).text == "what is it"
        await camera.stop()
        await eventually(lambda: session.camera and session.camera["state"] == "gone")
        assert there.open == 0
        again = await session.publish(Rtsp(there.url()))
        async with lookback.join(session.id) as other:
            await other.publish(picture(number) for number in range(99))
            with pytest.raises(CameraReplaced):
                await asyncio.wait_for(again.wait(), 10)


async def test_one_that_cannot_be_opened_says_why_and_no_password(serve: Any) -> None:
    def locked(asked: Asked) -> bytes | None:
        return asked.reply("401 Unauthorized", WWW_Authenticate='Basic realm="camera"')

    async with (
        ScriptedCamera(locked) as there,
        Lookback(serve(rtsp_hosts=f"127.0.0.1:{there.port}")) as lookback,
        lookback.session() as session,
    ):
        source = Rtsp(there.url(login="me:secret@"))
        assert "secret" not in repr(source)
        with pytest.raises(CameraError, match="cannot be seen") as refused:
            await session.publish(source)
        with pytest.raises(LookbackError, match="LOOKBACK_RTSP_HOSTS") as foreign:
            await session.publish(Rtsp("rtsp://me:secret@192.0.2.1/live"))
    assert "secret" not in f"{refused.value!r} {foreign.value!r}"
