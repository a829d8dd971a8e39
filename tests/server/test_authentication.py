"""Who is let in, and to whose sessions: a real gateway with keys."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from fastapi.routing import APIRoute, APIWebSocketRoute
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from server.access import SUBPROTOCOL_KEY, allowed
from server.authentication import Authentication, Door
from server.limits import Limits
from server.settings import GatewaySettings
from tests.server.clients import MovingPicture, picture
from tests.server.keyed import Keyed, bearer, keyed, made
from tests.server.routing import routes

OFFER = {"sdp": "v=0", "type": "offer"}
WHIP = {"Content-Type": "application/sdp"}


@pytest.fixture(scope="module")
def gateway(broker_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    with keyed(broker_url, tmp_path_factory.mktemp("keys")) as made:
        yield made


@pytest.fixture
def session(gateway: Keyed) -> str:
    return gateway.session()


def socket_url(gateway: Keyed, path: str) -> str:
    return gateway.url.replace("http", "ws") + path


def test_every_route_says_who_may_use_it() -> None:
    guarded = 0
    for route in routes():
        if isinstance(route, APIRoute | APIWebSocketRoute) and route.path.startswith(
            ("/v1/", "/w")
        ):
            checks = [d.call for d in route.dependant.dependencies if isinstance(d.call, allowed)]
            asks_how = route.path.startswith("/whip/") and "GET" in getattr(route, "methods", ())
            assert len(checks) == (0 if asks_how else 1), route.path
            guarded += len(checks)
    assert guarded >= 14


def _routes() -> list[tuple[str, str]]:
    found = []
    for route in routes():
        if isinstance(route, APIRoute) and route.path.startswith(("/v1/", "/whip/")):
            path = route.path.replace("{model:path}", "x")
            for name in ("session", "resource", "rtp", "rtsp", "camera"):
                path = path.replace(f"{{{name}}}", "x")
            methods = (
                route.methods - {"GET", "HEAD", "OPTIONS"} if "whip" in path else route.methods
            )
            found += [(method, path) for method in sorted(methods)]
    return found


def test_nobody_is_let_in_without_credentials(gateway: Keyed) -> None:
    found = _routes()
    assert len(found) >= 14 and ("PATCH", "/whip/x/x") in found
    with httpx.Client(base_url=gateway.url) as http:
        for method, path in found:
            # A body that cannot be read, which nobody reads.
            reply = http.request(method, path, content=b"{", headers={"Content-Type": "text/html"})
            assert reply.status_code == 401, (method, path)
            assert reply.json()["error"]["code"] == "missing_credentials"
            assert reply.headers["www-authenticate"] == "Bearer"
        assert http.get("/v1/nothing/there").status_code == 401


@pytest.mark.parametrize(
    "said",
    [
        "Bearer",
        "Bearer lb_00000000_AAAA",
        f"Bearer lb_00000000_{'A' * 43}",
        "Bearer sk-something",
        "Bearer a.b.c",
        "Basic dXNlcjpwYXNz",
        "lb_00000000_AAAA",
        "Bearer " + "x" * 20_000,
    ],
)
def test_wrong_credentials_are_refused(gateway: Keyed, said: str) -> None:
    reply = httpx.get(f"{gateway.url}/v1/models", headers={"Authorization": said})
    assert reply.status_code in (401, 431) or (reply.status_code == 400 and len(said) > 9999)
    if reply.status_code == 401:
        assert reply.json()["error"]["code"] == "invalid_credentials"
        assert reply.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


def test_a_key_with_another_keys_secret_is_refused(gateway: Keyed) -> None:
    one, other = gateway.keys["all"], gateway.keys["other"]
    for wrong in (one[:12] + other[12:], one[:-1], one + "A", one.upper(), one[:-1] + "!"):
        assert httpx.get(f"{gateway.url}/v1/models", headers=bearer(wrong)).status_code == 401
    twice = [("Authorization", f"Bearer {one}"), ("Authorization", f"Bearer {other}")]
    assert httpx.get(f"{gateway.url}/v1/models", headers=twice).status_code == 401
    assert httpx.get(f"{gateway.url}/v1/models", headers=bearer(one)).status_code == 200


def test_what_is_for_everybody_needs_none(gateway: Keyed) -> None:
    for path in ("/health", "/ready", "/", "/openapi.json", "/asyncapi.json", "/sample.json"):
        for headers in ({}, {"Authorization": "Basic dXNlcjpwYXNz"}):  # a proxy's own
            assert httpx.get(gateway.url + path, headers=headers).status_code == 200
    for path in ("/whip/x", "/whip/x/y"):
        assert httpx.options(gateway.url + path).status_code == 204


async def _handshake(gateway: Keyed, path: str, **options: Any) -> tuple[int, str]:
    """Status and error code; status 101 with the first event's type or error code."""
    try:
        async with connect(socket_url(gateway, path), **options) as websocket:
            event = json.loads(await websocket.recv())
            return 101, event["error"]["code"] if event["type"] == "error" else event["type"]
    except InvalidStatus as refused:
        code: str = json.loads(refused.response.body or b"{}")["error"]["code"]
        return refused.response.status_code, code


async def test_websockets_are_let_in_as_requests_are(gateway: Keyed, session: str) -> None:
    talk, film = f"/v1/realtime?session={session}", f"/v1/sessions/{session}/frames"
    for path in (talk, film):
        assert await _handshake(gateway, path) == (401, "missing_credentials")
        wrong = bearer("lb_00000000_" + "A" * 43)
        refused = await _handshake(gateway, path, additional_headers=wrong)
        assert refused == (401, "invalid_credentials")
    heard = {talk: "session.created", film: "lookback.frames.ready"}
    for path, name, outcome in (
        (talk, "ask", None), (talk, "publish", (403, "not_allowed")),
        (film, "publish", None), (film, "ask", (403, "not_allowed")),
        (talk, "all", (101, heard[talk])), (film, "all", (101, heard[film])),
    ):  # fmt: skip
        # A key of one's own scope does not see the session of another's.
        said = bearer(gateway.keys[name])
        expected = outcome or (101, "unknown_session")
        assert await _handshake(gateway, path, additional_headers=said) == expected, (path, name)


async def test_a_browser_says_its_key_as_a_subprotocol(gateway: Keyed, session: str) -> None:
    for path in (f"/v1/realtime?session={session}", f"/v1/sessions/{session}/frames"):
        for protocols in (
            ["realtime", SUBPROTOCOL_KEY + gateway.keys["all"], "openai-beta.realtime-v1"],
            [SUBPROTOCOL_KEY + gateway.token(session), "realtime"],
        ):
            async with connect(socket_url(gateway, path), subprotocols=protocols) as websocket:
                assert websocket.subprotocol == "realtime"
                assert json.loads(await websocket.recv())["type"] != "error"
        wrong = ["realtime", SUBPROTOCOL_KEY + "lb_0"]
        refused = await _handshake(gateway, path, subprotocols=wrong)
        assert refused == (401, "invalid_credentials")


async def test_a_page_can_read_why_it_was_turned_away(gateway: Keyed, session: str) -> None:
    path = socket_url(gateway, f"/v1/realtime?session={session}")
    for protocols, error, code in (
        (["realtime"], "missing_credentials", 3000),
        (["realtime", SUBPROTOCOL_KEY + "wrong"], "invalid_credentials", 3000),
        (["realtime", SUBPROTOCOL_KEY + gateway.keys["publish"]], "not_allowed", 3003),
    ):
        async with connect(path, subprotocols=protocols, origin=gateway.url) as websocket:  # type: ignore[arg-type]
            assert websocket.subprotocol == "realtime"
            assert json.loads(await websocket.recv())["error"]["code"] == error
            with pytest.raises(ConnectionClosed) as closed:
                await websocket.recv()
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, error)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["token", "api_key", "access_token", "Key"])
async def test_credentials_in_a_url_are_refused(gateway: Keyed, session: str, name: str) -> None:
    key = gateway.keys["all"]
    for path in (f"/v1/sessions/{session}", "/v1/models", f"/whip/{session}"):
        async with httpx.AsyncClient(headers=bearer(key)) as http:
            reply = await http.get(f"{gateway.url}{path}?{name}={key}")
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "credentials_in_url")
        assert key not in reply.text and "Authorization: Bearer" in reply.text
    talk = f"/v1/realtime?session={session}&{name}={key}"
    assert await _handshake(gateway, talk) == (400, "credentials_in_url")
    assert await _handshake(gateway, f"/v1/realtime?session={key}") == (400, "credentials_in_url")


async def test_a_session_is_there_for_its_own_key_only(gateway: Keyed, session: str) -> None:
    with gateway.http("all") as own, gateway.http("other") as other:
        ours = own.get(f"/v1/sessions/{session}")
        assert ours.status_code == 200 and ours.json()["id"] == session
        chat = {"model": session, "messages": [{"role": "user", "content": "?"}]}
        for method, path, body in (
            ("GET", f"/v1/sessions/{session}", None),
            ("GET", f"/v1/models/{session}", None),
            ("DELETE", f"/v1/sessions/{session}", None),
            ("POST", f"/v1/sessions/{session}/close", None),
            ("POST", f"/v1/sessions/{session}/offer", OFFER),
            ("POST", f"/v1/sessions/{session}/tokens", {}),
            ("POST", f"/v1/sessions/{session}/rtp", {"codec": "VP8"}),
            ("POST", "/v1/chat/completions", chat),
        ):
            reply = other.request(method, path, json=body)
            nowhere = json.loads(json.dumps(body).replace(session, "x" * 22))
            absent = other.request(method, path.replace(session, "x" * 22), json=nowhere)
            assert reply.status_code == absent.status_code == 404, path
            assert reply.text == absent.text.replace("x" * 22, session)
        assert other.post(f"/whip/{session}", content="v=0", headers=WHIP).status_code == 404
        assert own.get(f"/v1/sessions/{session}").status_code == 200
    said = bearer(gateway.keys["other"])
    for path in (f"/v1/realtime?model={session}", f"/v1/sessions/{session}/frames"):
        refused = await _handshake(gateway, path, additional_headers=said)
        assert refused == (101, "unknown_session")


async def test_a_camera_by_websocket_and_a_question_with_keys(gateway: Keyed, session: str) -> None:
    path = socket_url(gateway, f"/v1/sessions/{session}/frames")
    camera = connect(path, additional_headers=bearer(gateway.token(session, scopes=["publish"])))
    async with camera as websocket, httpx.AsyncClient(base_url=gateway.url, timeout=30) as http:
        for number in range(3):
            await websocket.send(b"\x40" + bytes([number * 8]) + bytes(6) + picture(40 * number))
        messages = [{"role": "user", "content": "is it there?"}]
        chat = {"model": session, "messages": messages}
        said = bearer(gateway.token(session, scopes=["ask"]))
        async with asyncio.timeout(30):
            while True:
                reply = await http.post("/v1/chat/completions", json=chat, headers=said)
                if reply.json().get("error", {}).get("code") != "no_frames_yet":
                    break
                await asyncio.sleep(0.1)
        answer = reply.json()
        assert reply.status_code == 200, answer
        assert answer["choices"][0]["message"]["content"].strip() == "is it there?"


def test_a_gateway_without_keys_looks_at_no_credentials(serve: Any) -> None:
    url = serve()
    for said in ("Bearer none", "Basic dXNlcjpwYXNz", "Bearer", "nonsense"):
        reply = httpx.post(f"{url}/v1/sessions", headers={"Authorization": said})
        assert reply.status_code == 201, said


async def test_whip_from_its_beginning_to_its_end_with_a_token(
    gateway: Keyed, session: str
) -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver(MovingPicture(20, (160, 120)), direction="sendonly")
    said = bearer(gateway.token(session, scopes=["publish"]))
    fragment = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*"}
    try:
        await peer.setLocalDescription(await peer.createOffer())
        sdp = peer.localDescription.sdp
        async with httpx.AsyncClient(base_url=gateway.url) as http:

            async def call(method: str, path: str, headers: dict[str, str], body: str) -> Any:
                return await http.request(method, path, content=body, headers=headers)

            assert (await call("POST", f"/whip/{session}", WHIP, sdp)).status_code == 401
            made = await call("POST", f"/whip/{session}", WHIP | said, sdp)
            assert made.status_code == 201, made.text
            await peer.setRemoteDescription(RTCSessionDescription(made.text, "answer"))
            location = made.headers["location"]
            other = bearer(gateway.keys["other"])
            for headers, trickled, ended in (
                ({}, 401, 401), (other, 404, 404), (said, 204, 200),
            ):  # fmt: skip
                patched = await call(
                    "PATCH", location, fragment | headers, "a=end-of-candidates\r\n"
                )
                assert patched.status_code == trickled, patched.text
                assert (await call("DELETE", location, headers, "")).status_code == ended
    finally:
        await peer.close()


_HEADERS = st.sampled_from([b"authorization", b"sec-websocket-protocol", b"origin", b"host"])
_VALUES = st.binary(max_size=80) | st.sampled_from(
    [b"Bearer x", b"realtime, openai-insecure-api-key.", b"openai-insecure-api-key.x,,", b"Bearer "]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(
    kind=st.sampled_from(["http", "websocket"]),
    headers=st.lists(st.tuples(_HEADERS, _VALUES), max_size=4),
    query=st.binary(max_size=60) | st.sampled_from([b"token=%ff", b"a=lb_%00", b"&;=", b"key"]),
    path=st.sampled_from(["/v1/", "/v1/models", "/whip/x", "/V1/models", "/v1/\udcff"]),
)
def test_nonsense_is_turned_away_and_breaks_nothing(
    door: Door, kind: str, headers: Any, query: bytes, path: str
) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": f"{kind}.connect" if kind == "websocket" else "http.request"}

    scope: Any = {"type": kind, "method": "POST", "path": path, "query_string": query,
                  "headers": headers, "client": ("127.0.0.1", 1), "extensions": {}}  # fmt: skip
    asyncio.run(door(scope, receive, send))
    if path.startswith("/V1"):
        assert scope["state"]["caller"] is None  # no route is there, and none would have a caller
    else:
        assert "caller" not in scope.get("state", {})
        assert sent[0].get("status", 401) in (400, 401, 429)
        assert kind == "http" or sent[-1]["type"] == "websocket.close"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Door:
    path = tmp_path_factory.mktemp("door") / "keys.json"
    made(path, "one")
    wanted = GatewaySettings(api_keys_file=path)
    limits = Limits(wanted)

    async def inside(*_: Any) -> None: ...

    return Door(inside, Authentication(wanted, limits), limits)
