"""Where a gateway may listen, and what it may be called."""

import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from server.access_settings import AccessSettings
from server.app import GatewayError, run
from server.errors import ClientError
from server.hosts import ExposedError, Hosts, check_exposure, is_loopback
from server.settings import GatewaySettings
from tests.server.keyed import keyed


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.168.1.7", False),
        ("2001:db8::1", False),
        ("no-such-name.invalid", False),
    ],
)
def test_only_this_machine_reaches_loopback(host: str, own: bool) -> None:
    assert is_loopback(host) is own
    if own:
        check_exposure(AccessSettings(host=host))
        return
    with pytest.raises(ExposedError, match=r"API_KEYS_FILE.*INSECURE=1") as refused:
        check_exposure(AccessSettings(host=host))
    assert "\n" not in str(refused.value)
    check_exposure(AccessSettings(host=host, insecure=True))
    check_exposure(AccessSettings(host=host, published_host="127.0.0.1"))
    with pytest.raises(ExposedError):
        check_exposure(AccessSettings(published_host=host or "0.0.0.0"))
    check_exposure(AccessSettings(host=host, api_keys_file=Path("keys.json")))


def test_a_gateway_does_not_start_where_all_could_use_it(broker_url: str) -> None:
    with pytest.raises(GatewayError, match="lookback keys create"):
        run(GatewaySettings(broker_url=broker_url, host="0.0.0.0"))


@pytest.mark.parametrize(
    ("header", "known"),
    [
        ("127.0.0.1:8400", True),
        ("localhost:8400", True),
        ("LOCALHOST", True),
        ("lookback.localhost:1", True),
        ("[::1]:8400", True),
        ("192.168.1.7:8400", True),
        ("[2001:db8::1]", True),
        ("cam.example:8400", True),
        ("cam.example.", True),
        ("box", True),
        (socket.gethostname(), True),
        (f"{socket.gethostname()}.local:8400", True),
        (f"{socket.gethostname()}.evil.example", False),
        ("evil.example:8400", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("evillocalhost", False),
        ("127.1.evil", False),
        ("user@evil.example", False),
        ("", False),
        ("[", False),
        ("evil.example:99999999", False),
    ],
)
def test_names_are_known_or_refused(header: str, known: bool) -> None:
    hosts = Hosts("box", ["Cam.Example"])
    hosts.check(None)
    if known:
        hosts.check(header)
        return
    with pytest.raises(ClientError, match="LOOKBACK_ALLOWED_HOSTS") as refused:
        hosts.check(header)
    assert (refused.value.status, refused.value.code) == (403, "unknown_host")


def test_a_page_whose_name_was_turned_to_us_is_refused(
    serve: Callable[..., str], broker_url: str, tmp_path: Path
) -> None:
    rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
    url = serve()
    for method, path in (("POST", "/v1/sessions"), ("GET", "/v1/models"), ("GET", "/")):
        reply = httpx.request(method, url + path, headers=rebound)
        assert (reply.status_code, reply.json()["error"]["code"]) == (403, "unknown_host")
    url = serve(allowed_hosts="evil.example")
    assert httpx.post(f"{url}/v1/sessions", headers=rebound).status_code == 201
    with keyed(broker_url, tmp_path) as gateway:  # such a page has no key
        assert httpx.get(f"{gateway.url}/", headers=rebound).status_code == 200
        refused = httpx.post(f"{gateway.url}/v1/sessions", headers=rebound)
        assert refused.status_code == 401
