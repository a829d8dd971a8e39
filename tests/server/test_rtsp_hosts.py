"""Only what is in the list is reached, however it is written and wherever its name leads."""

import asyncio
import ipaddress
import socket
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import rtsp_hosts
from server.errors import ClientError
from server.rtsp_hosts import LookupFailed, admit, look_up, reachable, read_hosts
from server.rtsp_url import IpAddress, read_url
from server.settings import GatewaySettings

CLOUD = "169.254.169.254"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """Names and what the resolver says to one lookup after another."""
    told: dict[str, list[list[str]]] = {}

    def resolver(name: str, *_: Any, **__: Any) -> list[Any]:
        if name not in told:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        answers = told[name].pop(0)
        return [(socket.AF_UNSPEC, socket.SOCK_STREAM, 6, "", (one, 0)) for one in answers]

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    return told


async def admitted(url: str, hosts: str) -> bool:
    try:
        await admit(read_url(url), read_hosts(hosts))
    except ClientError as error:
        assert (error.status, error.param) == (403, "url")
        assert "LOOKBACK_RTSP_HOSTS" in error.message
        return False
    return True


@pytest.mark.parametrize(
    ("hosts", "inside", "outside"),
    [
        ("", [], ["rtsp://10.0.0.1/", "rtsp://camera.lan/"]),
        ("10.0.0.1", ["rtsp://10.0.0.1/"], ["rtsp://10.0.0.2/", "rtsp://10.0.0.1:555/"]),
        ("10.0.0.1:8554", ["rtsp://10.0.0.1:8554/"], ["rtsp://10.0.0.1/"]),
        ("10.0.0.0/30:*", ["rtsp://10.0.0.3:22/"], ["rtsp://10.0.0.4:22/"]),
        ("10.0.0.1:500-600", ["rtsp://10.0.0.1:600/"], ["rtsp://10.0.0.1:601/"]),
        ("camera.lan", ["rtsp://CAMERA.lan./"], ["rtsp://camera.lan.evil/", "rtsp://lan/"]),
        ("[fd00::/8]:554 fd01::1", ["rtsp://[fdff::1]/"], ["rtsp://[fe80::1]/"]),
        ("10.0.0.7", ["rtsp://[::ffff:10.0.0.7]/"], ["rtsp://[::10.0.0.7]/"]),
        ("::ffff:10.0.0.7", ["rtsp://10.0.0.7/"], ["rtsp://[64:ff9b::10.0.0.7]/"]),
        ("localhost", ["rtsp://localhost/", "rtsp://127.0.0.9/"], ["rtsp://0.0.0.0/"]),
        ("127.0.0.0/8", ["rtsp://127.0.0.1/"], ["rtsp://[::1]/"]),
        (
            "0.0.0.0/0 ::/0",
            ["rtsp://10.0.0.1/", "rtsp://[fd00::1]/"],
            [f"rtsp://{CLOUD}/", "rtsp://127.0.0.1/", "rtsp://[::1]/", "rtsp://0.0.0.0/"],
        ),
        ("169.254.0.0/16", [f"rtsp://{CLOUD}/"], ["rtsp://10.0.0.1/"]),
    ],
)
async def test_the_list(
    hosts: str, inside: list[str], outside: list[str], names: dict[str, list[list[str]]]
) -> None:
    names["localhost"] = [["127.0.0.1"]]
    for url in inside:
        assert await admitted(url, hosts), url
    for url in outside:
        assert not await admitted(url, hosts), url


@pytest.mark.parametrize(
    "entry", ["rtsp://10.0.0.1", "10.0.0.1/x", "10.0.0.1/33", "10.0.0.0/33", "127.1", "10.0.0.1:0",
              "10.0.0.1:9-1", "10.0.0.5/24", "a b!", "[::1", "user@camera.lan", "*"],
)  # fmt: skip
def test_a_list_that_cannot_be_read_is_refused(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKBACK_RTSP_HOSTS", f"camera.lan,{entry}")
    with pytest.raises(ValueError, match="rtsp_hosts"):
        GatewaySettings()


@pytest.mark.parametrize("text", ["a.lan, 10.0.0.1:8554", '["a.lan", "10.0.0.1:8554"]'])
def test_the_list_is_written_with_commas_or_as_json(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKBACK_RTSP_HOSTS", text)
    assert GatewaySettings().rtsp_hosts == read_hosts("a.lan 10.0.0.1:8554")
    monkeypatch.delenv("LOOKBACK_RTSP_HOSTS")
    assert GatewaySettings().rtsp_hosts == read_hosts("[]") == ()


ADDRESSES = st.ip_addresses(v=4) | st.ip_addresses(v=6)


@given(ADDRESSES, st.integers(0, 32), ADDRESSES)
async def test_an_address_is_reached_only_within_the_networks(
    centre: IpAddress, prefix: int, wanted: IpAddress
) -> None:
    network = ipaddress.ip_network(f"{centre}/{prefix}", strict=False)
    hosts = read_hosts(f"[{network}]:554" if network.version == 6 else str(network))
    written = f"[{wanted}]" if wanted.version == 6 else str(wanted)
    url = read_url(f"rtsp://{written}/")
    try:
        reached = await reachable(url, hosts)
    except LookupFailed:
        return
    assert reached == [url.address] and reached[0] in network


@given(ADDRESSES)
async def test_one_notation_is_as_good_as_another(address: IpAddress) -> None:
    other = f"[{address.exploded}]" if address.version == 6 else f"[::ffff:{address}]"
    written = f"[{address}]" if address.version == 6 else str(address)
    assert read_url(f"rtsp://{other}/").address == read_url(f"rtsp://{written}/").address


async def test_a_name_that_is_not_listed_must_lead_into_a_network(
    names: dict[str, list[list[str]]],
) -> None:
    names["in.lan"], names["out.lan"] = [["10.0.0.5"]], [["10.9.0.5"]]
    assert await admitted("rtsp://in.lan/", "10.0.0.0/24")
    assert not await admitted("rtsp://out.lan/", "10.0.0.0/24")
    assert not await admitted("rtsp://unknown.lan/", "10.0.0.0/24")
    assert not await admitted("rtsp://in.lan/", "camera.lan"), "it must not even be looked up"


@pytest.mark.parametrize("leads_to", [CLOUD, "127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0",
                                      "64:ff9b::7f00:1", "2002:7f00:1::", "fe80::1"])  # fmt: skip
async def test_a_listed_name_does_not_lead_to_this_machine_or_a_clouds_metadata(
    leads_to: str, names: dict[str, list[list[str]]]
) -> None:
    names["camera.lan"] = [[leads_to], [leads_to, "10.0.0.5"]]
    hosts = read_hosts("camera.lan")
    with pytest.raises(LookupFailed, match="LOOKBACK_RTSP_HOSTS"):
        await reachable(read_url("rtsp://camera.lan/"), hosts)
    reached = await reachable(read_url("rtsp://camera.lan/"), hosts)
    assert reached == [ipaddress.ip_address("10.0.0.5")]


async def test_an_unknown_name_is_told() -> None:
    with pytest.raises(LookupFailed, match="name is unknown"):
        await look_up("camera.invalid")


async def test_a_lookup_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(0.7) or [])
    monkeypatch.setattr("server.rtsp_hosts._LOOKUP_SECONDS", 0.2)
    began = time.monotonic()
    many = await asyncio.gather(*(look_up("camera.lan") for _ in range(40)), return_exceptions=True)
    assert time.monotonic() - began < 0.6
    assert all(isinstance(one, LookupFailed) for one in many)
    assert sum("too many" in str(one) for one in many) == 8
    while rtsp_hosts._lookups:
        assert time.monotonic() - began < 5, "their threads must be free again"
        await asyncio.sleep(0.05)
