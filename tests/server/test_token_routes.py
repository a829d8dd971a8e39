"""Tokens and ICE servers, asked for and used at a real gateway."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from openai import AsyncOpenAI, AuthenticationError

from server.api_keys import editing, read
from tests.server.keyed import Keyed, bearer, keyed, made


@pytest.fixture(scope="module")
def gateway(broker_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    settings = {"turn_urls": "turn:turn.example:3478", "turn_secret": "north"}
    with keyed(broker_url, tmp_path_factory.mktemp("keys"), **settings) as gateway:
        yield gateway


def test_a_token_is_good_for_its_session_and_its_scopes(gateway: Keyed) -> None:
    session, another = gateway.session(), gateway.session()
    before = int(time.time())
    with gateway.http() as http:
        wanted = {"scopes": ["ask"], "expires_in": 60}
        reply = http.post(f"/v1/sessions/{session}/tokens", json=wanted)
        assert (reply.status_code, reply.headers["cache-control"]) == (201, "no-store")
        made = reply.json()
        assert set(made) == {"token", "expires_at", "scopes", "session"}
        assert made["scopes"] == ["ask"] and made["session"] == session
        assert before + 60 <= made["expires_at"] <= time.time() + 60
        both = http.post(f"/v1/sessions/{session}/tokens").json()
        assert both["scopes"] == ["ask", "publish"]
        assert both["expires_at"] - time.time() == pytest.approx(3600, abs=5)
    with gateway.http(made["token"]) as http:
        assert http.get(f"/v1/sessions/{session}").status_code == 200
        for path in (f"/v1/sessions/{another}", f"/v1/models/{another}"):
            reply = http.get(path)
            assert reply.status_code == 404 and another in reply.text
        for method, path, body in (
            ("POST", "/v1/sessions", None),
            ("DELETE", f"/v1/sessions/{session}", None),
            ("POST", f"/v1/sessions/{session}/tokens", {"scopes": ["ask"]}),
            ("POST", f"/v1/sessions/{session}/offer", {"sdp": "v=0", "type": "offer"}),
            ("GET", "/v1/ice-servers", None),
        ):
            assert http.request(method, path, json=body).status_code == 403, path


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ({"scopes": []}, 422, "invalid_request"),
        ({"scopes": ["manage"]}, 422, "invalid_request"),
        ({"scopes": ["all"]}, 422, "invalid_request"),
        ({"scopes": "ask"}, 422, "invalid_request"),
        ({"expires_in": 9}, 422, "invalid_request"),
        ({"expires_in": 86401}, 422, "invalid_request"),
        ({"expires_in": "60"}, 422, "invalid_request"),
        ({"expires_in": 10**30}, 422, "invalid_request"),
        ({"session": "x"}, 422, "invalid_request"),
    ],
)
def test_what_no_token_can_be_is_refused(
    gateway: Keyed, wanted: Any, status: int, code: str
) -> None:
    with gateway.http() as http:
        reply = http.post(f"/v1/sessions/{gateway.session()}/tokens", json=wanted)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


def test_a_key_hands_on_no_more_than_it_has(gateway: Keyed) -> None:
    asker = made(gateway.path, "asks and manages", "ask", "manage")
    session = gateway.session(asker)
    with gateway.http(asker) as http:
        refused = http.post(f"/v1/sessions/{session}/tokens", json={"scopes": ["ask", "publish"]})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_allowed")
        assert http.post(f"/v1/sessions/{session}/tokens").json()["scopes"] == ["ask"]
    session = gateway.session("manage")
    with gateway.http("manage") as http:
        assert http.post(f"/v1/sessions/{session}/tokens").status_code == 403


def _forged(gateway: Keyed, **claims: Any) -> str:
    """A token that says what it likes, signed as the gateway's are."""
    (key, *_) = read(gateway.path).keys
    said = {"iss": "lookback", "sub": key.id, "session": "x", "scope": "ask", "exp": time.time()}
    return jwt.encode(said | claims, read(gateway.path).signing_secret, "HS256")


def test_one_that_expired_is_refused_by_its_name(gateway: Keyed) -> None:
    session = gateway.session()
    past = _forged(gateway, session=session, exp=int(time.time()) - 5)
    reply = httpx.get(f"{gateway.url}/v1/sessions/{session}", headers=bearer(past))
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "expired_token")
    live = _forged(gateway, session=session, exp=int(time.time()) + 60)
    assert httpx.get(f"{gateway.url}/v1/sessions/{session}", headers=bearer(live)).is_success
    nobodys = _forged(gateway, session=session, exp=int(time.time()) + 60, sub="00000000")
    assert httpx.get(f"{gateway.url}/v1/sessions/{session}", headers=bearer(nobodys)).is_error


async def test_a_revoked_key_ends_its_tokens_and_its_sessions(gateway: Keyed, tools: Any) -> None:
    key = made(gateway.path, "short-lived")
    session = gateway.session(key)
    with gateway.http(key) as http:
        token = http.post(f"/v1/sessions/{session}/tokens").json()["token"]
    client = AsyncOpenAI(api_key=token, base_url=f"{gateway.url}/v1", max_retries=0)
    async with client.realtime.connect(model=session) as realtime, asyncio.timeout(20):
        assert (await realtime.recv()).type == "session.created"
        with editing(gateway.path) as file:
            file.revoke("short-lived")
        for credentials in (key, token):
            async with httpx.AsyncClient(headers=bearer(credentials)) as http:
                refused = await http.get(f"{gateway.url}/v1/sessions/{session}")
            assert refused.status_code == 401 and "revoked" in refused.text
        closed = await realtime.recv()
    assert (closed.type, closed.reason) == ("lookback.session.closed", "key_revoked")  # type: ignore[comparison-overlap,union-attr]


async def test_openais_client_gets_a_secret_for_a_page_and_uses_it(gateway: Keyed) -> None:
    session = gateway.session()
    backend = AsyncOpenAI(api_key=gateway.keys["all"], base_url=f"{gateway.url}/v1", max_retries=0)
    secret = await backend.realtime.client_secrets.create(
        session={"type": "realtime", "model": session},
        expires_after={"anchor": "created_at", "seconds": 60},
    )
    assert secret.expires_at - time.time() == pytest.approx(60, abs=5)
    page = AsyncOpenAI(api_key=secret.value, base_url=f"{gateway.url}/v1", max_retries=0)
    async with page.realtime.connect(model=session) as realtime, asyncio.timeout(20):
        assert (await realtime.recv()).type == "session.created"
    with pytest.raises(AuthenticationError, match="not good here"):
        stranger = AsyncOpenAI(api_key="sk-wrong", base_url=f"{gateway.url}/v1", max_retries=0)
        await stranger.models.list()


def test_ice_servers_are_for_those_who_publish(gateway: Keyed) -> None:
    assert httpx.get(f"{gateway.url}/v1/ice-servers").status_code == 401
    told = []
    for name in ("all", gateway.token(gateway.session(), scopes=["publish"])):
        with gateway.http(name) as http:
            reply = http.get("/v1/ice-servers")
        assert (reply.status_code, reply.headers["cache-control"]) == (200, "no-store")
        told.append(reply.json())
    (server,) = told[0]["ice_servers"]
    expires_at, _, who = server["username"].partition(":")
    assert server["urls"] == ["turn:turn.example:3478"] and who == "all"
    assert int(expires_at) == pytest.approx(time.time() + 3600, abs=5)
    assert told[0]["expires_at"] == pytest.approx(int(expires_at), abs=1)
    assert "north" not in str(told)


def test_without_keys_all_of_it_is_there(serve: Any, tools: Any) -> None:
    url = serve()
    session = tools.new_session(url)
    reply = httpx.post(f"{url}/v1/sessions/{session}/tokens", json={"scopes": ["ask"]})
    assert reply.status_code == 201 and reply.json()["scopes"] == ["ask"]
    told = httpx.get(f"{url}/v1/ice-servers", headers=bearer(reply.json()["token"]))
    assert told.json() == {"ice_servers": [], "expires_at": None}


def _ice(url: str, token: str) -> int:
    return httpx.get(f"{url}/v1/ice-servers", headers=bearer(token)).status_code


def test_gateways_that_share_a_secret_take_each_others_tokens(
    broker_url: str, tmp_path: Path, tools: Any
) -> None:
    shared = {"token_secret": "t" * 32, "api_keys_file": tmp_path / "keys.json"}
    with keyed(broker_url, tmp_path, token_secret="t" * 32) as one:
        session = one.session()
        token = one.token(session)
        with tools.serving(broker_url=broker_url, **shared) as other:
            assert _ice(other, token) == 200
        unlike = shared | {"token_secret": "u" * 32}
        with tools.serving(broker_url=broker_url, **unlike) as other:
            assert _ice(other, token) == 401
