"""Datagrams and requests for ports, broken in every way: each is counted, or refused in words."""

import asyncio
import socket
import struct
import time
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st

from server.rtp_routes import NewRtp
from tests.server.fuzzing import campaign, unharmed
from tests.server.mutations import damaged, trees
from tests.server.rtp_stream import Sender, endless, moved, stream

_REAL = [*stream("H264").packets[:60], *stream("H264").reports]
_CONTROL = st.builds(
    lambda count, kind, words, rest: struct.pack(">BBH", 0x80 | count, kind, words) + rest,
    st.integers(0, 31), st.integers(192, 223), st.integers(0, 9), st.binary(max_size=40),
)  # fmt: skip
_MOVED = st.builds(
    lambda packet, sequence, timestamp: moved(packet, sequence=sequence, timestamp=timestamp),
    st.sampled_from(_REAL[:60]), st.integers(0, 70_000), st.integers(0, 2**32),
)  # fmt: skip
_DATAGRAMS = st.lists(
    st.sampled_from(_REAL) | _MOVED | damaged(_REAL) | _CONTROL | st.binary(max_size=60),
    min_size=1,
    max_size=30,
)


async def test_no_datagram_does_any_harm(gateway: str, tools: Any) -> None:
    def sent() -> None:
        with unharmed(gateway) as session, httpx.Client(base_url=gateway) as client:
            path = f"/v1/sessions/{session}/rtp"
            opened: dict[str, Any] = {}
            counted: dict[str, int] = {}

            def look() -> None:
                """A datagram may be a goodbye: then there is another port."""
                reply = client.get(f"{path}/{opened['id']}")
                if reply.status_code == 404:
                    opened.update(client.post(path).raise_for_status().json())
                    return
                for name, number in reply.json()["counters"].items():
                    counted[name] = max(number, counted.get(name, 0))

            opened.update(client.post(path).raise_for_status().json())
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:

                @campaign(200)
                @given(_DATAGRAMS, st.booleans())
                def send(datagrams: list[bytes], control: bool) -> None:
                    for datagram in datagrams:
                        port = opened["rtcp_port"] if control else opened["port"]
                        sender.sendto(datagram, ("127.0.0.1", port))
                    look()

                send()
            for name in ("received", "late", "ignored", "malformed"):
                assert counted[f"packets_{name}"] > 0, counted
            opened.update(client.post(path).raise_for_status().json())
            with Sender(opened["port"], endless("H264")):
                deadline = time.monotonic() + 10
                while client.get(f"{path}/{opened['id']}").json()["state"] != "live":
                    assert time.monotonic() < deadline
                    time.sleep(0.05)

    await asyncio.to_thread(sent)


def test_no_request_for_a_port_does_any_harm(gateway: str) -> None:
    statuses = set()
    with unharmed(gateway) as session, httpx.Client(base_url=gateway) as client:
        path = f"/v1/sessions/{session}/rtp"
        first = client.post(path).raise_for_status().json()
        valid = [
            {"codec": "H264", "payload_type": 96, "source": "127.0.0.1", "sdp": first["sdp"]},
            {"codec": "VP8", "payload_type": 100, "source": "::1"},
            {},
        ]

        @campaign(150)
        @given(trees(valid, (*NewRtp.model_fields, "other")))
        def ask(body: str) -> None:
            content = body.encode("utf-8", "surrogatepass")
            headers = {"Content-Type": "application/json"}
            reply = client.post(path, content=content, headers=headers)
            statuses.add(reply.status_code)
            assert reply.status_code == 201 or set(reply.json()["error"]) == {
                "type", "code", "message", "param",
            }  # fmt: skip
            assert reply.status_code < 500, reply.text

        ask()
    assert {201, 422} <= statuses
