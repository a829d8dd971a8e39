"""Which pages may use the gateway."""

from collections.abc import Callable

import httpx
import pytest

from server.guard import BODY_BYTES, Guard


async def _nothing(*_: object) -> None: ...


@pytest.mark.parametrize(
    ("origin", "host", "welcome"),
    [
        ("http://127.0.0.1:8400", "127.0.0.1:8400", True),
        ("https://cam.example", "cam.example", True),
        ("https://cam.example", "cam.example:443", True),
        ("https://cam.example:443", "CAM.example", True),
        ("http://[::1]:8400", "[::1]:8400", True),
        ("http://127.0.0.1:8401", "127.0.0.1:8400", False),
        ("http://localhost:8400", "127.0.0.1:8400", False),
        ("https://evil.example", "cam.example", False),
        ("https://cam.example.evil.example", "cam.example", False),
        ("https://cam.example@evil.example", "cam.example", False),
        ("null", "null", False),
        ("", "", False),
        ("http://[", "[", False),
        ("http://x:99999999", "x:99999999", False),
        ("https://friend.example", "cam.example", True),
        ("https://FRIEND.example", "cam.example", True),
        ("http://friend.example", "cam.example", False),
    ],
)
def test_only_its_own_pages_and_those_allowed(origin: str, host: str, welcome: bool) -> None:
    guard = Guard(_nothing, ["https://friend.example/"])
    assert guard._welcome(origin, host) is welcome


_FRIEND = "https://friend.example"
_ASKS = {
    "Access-Control-Request-Method": "PATCH",
    "Access-Control-Request-Headers": "authorization,content-type,if-match",
}


@pytest.mark.parametrize("path", ["/whip/any", "/whip/any/thing", "/v1/sessions"])
def test_a_browser_may_ask_beforehand(serve: Callable[..., str], path: str) -> None:
    url = serve(allowed_origins={_FRIEND})
    asked = httpx.options(url + path, headers=_ASKS | {"Origin": _FRIEND})
    assert (asked.status_code, asked.content) == (204, b"")
    assert asked.headers["access-control-allow-origin"] == _FRIEND
    assert {"POST", "PATCH", "DELETE"} <= set(
        asked.headers["access-control-allow-methods"].split(", ")
    )
    allowed = asked.headers["access-control-allow-headers"]
    assert {"Authorization", "Content-Type", "If-Match", "*"} == set(allowed.split(", "))
    assert "origin" in asked.headers["vary"].lower()
    for origin in ("https://evil.example", "null"):
        refused = httpx.options(url + path, headers=_ASKS | {"Origin": origin})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "foreign_origin")
        assert "access-control-allow-origin" not in refused.headers


def test_a_page_may_read_the_answers_it_is_meant_to(serve: Callable[..., str]) -> None:
    url = serve(allowed_origins={_FRIEND})
    made = httpx.post(f"{url}/v1/sessions", headers={"Origin": _FRIEND})
    assert made.status_code == 201
    assert made.headers["access-control-allow-origin"] == _FRIEND
    assert {"Location", "Link", "ETag"} <= set(
        made.headers["access-control-expose-headers"].split(", ")
    )
    wrong = httpx.post(f"{url}/whip/any", headers={"Origin": _FRIEND})
    assert wrong.status_code == 415  # and the page can read why
    assert wrong.headers["access-control-allow-origin"] == _FRIEND
    large = {"Origin": _FRIEND, "Content-Length": str(BODY_BYTES + 1)}
    refused = httpx.post(f"{url}/whip/any", headers=large, content=b"x" * (BODY_BYTES + 1))
    assert refused.status_code == 413
    assert refused.headers["access-control-allow-origin"] == _FRIEND
    foreign = httpx.get(f"{url}/health", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in foreign.headers
    assert "access-control-allow-origin" not in httpx.get(f"{url}/health").headers
