"""What a caller may take: counted alone, and at a real gateway."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from server.errors import ClientError
from server.limits import Held, Limits, Rates, network
from server.settings import GatewaySettings
from tests.server.keyed import bearer, keyed, made

_WRONG = "lb_00000000_" + "A" * 43


def test_each_caller_has_a_rate_of_its_own() -> None:
    rates = Rates(per_second=0.01, burst=2)
    assert [rates.of("one").allows() for _ in range(3)] == [True, True, False]
    assert rates.of("other").allows()
    assert rates.of("one").wait_seconds() == pytest.approx(100, abs=2)


def test_callers_are_forgotten_when_there_are_many() -> None:
    rates = Rates(per_second=0.01, burst=1)
    for number in range(20_000):
        rates.of(str(number))
    assert len(rates._rates) == 10_000


def test_so_many_at_once() -> None:
    held = Held(2, "too_many", "You have {most}.")
    with held.one_more("me"), held.one_more("other"):
        with held.one_more("me"):
            with pytest.raises(ClientError, match="You have 2") as refused, held.one_more("me"):
                pass
            assert (refused.value.status, refused.value.retry_after) == (429, 2.0)
        with pytest.raises(ClientError), held.one_more("me", others=1):
            pass
        with held.one_more("me"):
            pass
    assert not held._counts


def test_guesses_must_wait() -> None:
    limits = Limits(GatewaySettings(failures_per_minute=3))
    for _ in range(3):
        limits.may_guess("1.2.3.4")
        limits.failed("1.2.3.4")
    with pytest.raises(ClientError) as refused:
        limits.may_guess("1.2.3.4")
    assert refused.value.code == "rate_limited" and 15 <= (refused.value.retry_after or 0) <= 20
    limits.may_guess("1.2.3.5")


@pytest.mark.parametrize(
    ("host", "party"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("unknown", "unknown"),
    ],
)
def test_an_address_stands_for_whoever_has_it(host: str, party: str) -> None:
    assert network(host) == party


def _refused(reply: httpx.Response) -> tuple[int, str, bool]:
    retry = int(reply.headers.get("retry-after", "0"))
    return reply.status_code, reply.json()["error"]["code"], retry >= 1


def test_sessions_at_once(broker_url: str, tmp_path: Path) -> None:
    with keyed(broker_url, tmp_path, sessions_each=2) as gateway, gateway.http() as http:
        first, _ = gateway.session(), gateway.session()
        assert _refused(http.post("/v1/sessions")) == (429, "too_many_sessions", True)
        gateway.session("other")  # another key's are counted alone
        assert http.delete(f"/v1/sessions/{first}").status_code == 204
        gateway.session()


async def test_sessions_that_are_asked_for_together(broker_url: str, tmp_path: Path) -> None:
    with keyed(broker_url, tmp_path, sessions_each=3) as gateway:
        said = bearer(gateway.keys["all"])
        async with httpx.AsyncClient(base_url=gateway.url, headers=said) as http:
            made = await asyncio.gather(*(http.post("/v1/sessions") for _ in range(8)))
    assert sorted(reply.status_code for reply in made) == [201] * 3 + [429] * 5


def test_new_sessions_a_second(broker_url: str, tmp_path: Path) -> None:
    with keyed(broker_url, tmp_path, new_sessions_per_second=0.5) as gateway:
        gateway.session()
        with gateway.http() as http:
            assert _refused(http.post("/v1/sessions")) == (429, "rate_limited", True)
            assert http.get("/v1/models").status_code == 200
        gateway.session("other")


def test_requests_a_second_without_keys_are_an_addresses(serve: Any) -> None:
    url = serve(requests_per_second=1)
    with httpx.Client(base_url=url) as http:
        replies = [http.get("/v1/models") for _ in range(8)]
        assert [reply.status_code for reply in replies[:3]] == [200] * 3
        assert _refused(replies[-1]) == (429, "rate_limited", True)
        assert http.get("/health").status_code == 200
        assert http.get("/").status_code == 200


async def test_websockets_at_once(broker_url: str, tmp_path: Path) -> None:
    with keyed(broker_url, tmp_path, websockets_each=2) as gateway:
        session = gateway.session()
        base = gateway.url.replace("http", "ws")
        talk, film = f"{base}/v1/realtime?session={session}", f"{base}/v1/sessions/{session}/frames"
        said = bearer(gateway.keys["all"])
        async with connect(talk, additional_headers=said) as one:
            async with connect(film, additional_headers=said):
                with pytest.raises(InvalidStatus) as refused:
                    await connect(talk, additional_headers=said)
                response = refused.value.response
                assert response.status_code == 429 and int(response.headers["Retry-After"]) >= 1
                code = json.loads(response.body or b"")["error"]["code"]
                assert code == "too_many_websockets"
                protocols: Any = ["realtime", f"openai-insecure-api-key.{gateway.keys['all']}"]
                async with connect(talk, subprotocols=protocols, origin=gateway.url) as page:  # type: ignore[arg-type]
                    assert json.loads(await page.recv())["error"]["code"] == code
                    await page.wait_closed()
                    assert page.close_code == 1013
            async with asyncio.timeout(20):
                while True:  # the closed one is counted no more
                    try:
                        async with connect(talk, additional_headers=said):
                            break
                    except InvalidStatus:
                        await asyncio.sleep(0.05)
            assert json.loads(await one.recv())["type"] == "session.created"


def test_guesses_at_a_gateway(broker_url: str, tmp_path: Path) -> None:
    with keyed(broker_url, tmp_path, failures_per_minute=6) as gateway:
        with gateway.http() as http:
            assert http.get("/v1/models").status_code == 200
        with gateway.http(_WRONG) as guesser:
            replies = [guesser.get("/v1/models") for _ in range(8)]
        assert [reply.status_code for reply in replies] == [401] * 6 + [429] * 2
        assert _refused(replies[-1]) == (429, "rate_limited", True)
        with gateway.http() as http:  # known from before: a neighbour's guesses are not its fault
            assert http.get("/v1/models").status_code == 200
        fresh = made(gateway.path, "fresh")
        with gateway.http(fresh) as http:  # a good guess is not told from a bad one
            assert http.get("/v1/models").status_code == 429
        assert httpx.get(f"{gateway.url}/v1/models").status_code == 401  # no guess
        assert httpx.get(f"{gateway.url}/health").status_code == 200


def test_proxies_are_believed_that_are_trusted(broker_url: str, tmp_path: Path) -> None:
    def guesses(gateway: Any, forwarded: str, count: int = 3) -> list[int]:
        said = bearer(_WRONG) | {"X-Forwarded-For": forwarded}
        with httpx.Client(base_url=gateway.url, headers=said) as http:
            return [http.get("/v1/models").status_code for _ in range(count)]

    with keyed(broker_url, tmp_path, failures_per_minute=2) as gateway:
        assert guesses(gateway, "203.0.113.1") == [401, 401, 429]
        assert guesses(gateway, "203.0.113.2", 1) == [429]  # whatever it says
    trusted = {"trusted_proxies": "127.0.0.0/8, 10.1.2.3"}
    with keyed(broker_url, tmp_path / "t", failures_per_minute=2, **trusted) as gateway:
        assert guesses(gateway, "203.0.113.1") == [401, 401, 429]
        assert guesses(gateway, "203.0.113.2") == [401, 401, 429]
        # What the client itself claimed stands further left.
        assert guesses(gateway, "203.0.113.3, 203.0.113.2", 1) == [429]
