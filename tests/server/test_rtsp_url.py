"""A camera's URL has one reading, or none."""

import ipaddress
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ClientError
from server.rtsp_url import RtspUrl, read_url


@pytest.mark.parametrize(
    ("text", "host", "port", "target"),
    [
        ("rtsp://192.168.1.20/live", "192.168.1.20", 554, "/live"),
        ("RTSP://Camera.LAN.:8554/a/b?c=d", "camera.lan", 8554, "/a/b?c=d"),
        ("rtsp://[fd00::0020]:554/", "fd00::20", 554, "/"),
        ("rtsp://[::ffff:10.0.0.7]/", "10.0.0.7", 554, "/"),
        ("rtsp://front_door:1", "front_door", 1, ""),
        ("rtsp://allowed.lan@other.lan/x", "other.lan", 554, "/x"),
        ("rtsp://a:b@allowed.lan@other.lan/x", "other.lan", 554, "/x"),
        ("rtsp://allowed.lan:554@other.lan:99/x", "other.lan", 99, "/x"),
    ],
)
def test_it_is_taken_apart(text: str, host: str, port: int, target: str) -> None:
    url = read_url(text)
    assert (url.host, url.port, url.target) == (host, port, target)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "camera.lan/live",
        "rtsp:camera.lan",
        "//camera.lan",
        *(f"{scheme}://10.0.0.1/x" for scheme in ("rtspt", "rtspu", "rtsps", "rtsph", "http")),
        "file:///etc/passwd",
        "tcp://10.0.0.1:22",
        "rtsp+http://10.0.0.1/",
        "rtsp://",
        "rtsp:///path",
        "rtsp://user:pass@/path",
        "rtsp://10.0.0.1:0/",
        "rtsp://10.0.0.1:65536/",
        "rtsp://10.0.0.1:/",
        "rtsp://10.0.0.1:+554/",
        "rtsp://10.0.0.1:５５４/",
        "rtsp://127.1/",
        "rtsp://2130706433/",
        "rtsp://0x7f000001/",
        "rtsp://0x7f.0.0.1/",
        "rtsp://0177.0.0.1/",
        "rtsp://127.0.0.01/",
        "rtsp://1.2.3.4.5/",
        "rtsp://１２７.0.0.1/",
        "rtsp://bücher.lan/",
        "rtsp://[fe80::1%25eth0]/",
        "rtsp://[fe80::1%eth0]/",
        "rtsp://[127.0.0.1/",
        "rtsp://[::1]554/",
        "rtsp://fd00::1/",
        "rtsp://-camera.lan/",
        "rtsp://camera..lan/",
        "rtsp://cam%65ra.lan/",
        "rtsp://good.lan\\@evil.lan/",
        "rtsp://good.lan#@evil.lan/",
        "rtsp://good.lan/@evil.lan/",
        "rtsp://good.lan?@evil.lan/",
        "rtsp://user:pa/ss@camera.lan/",
        "rtsp://camera.lan/x\r\nTEARDOWN rtsp://camera.lan RTSP/1.0",
        "rtsp://camera.lan/x y",
        "rtsp://us%0D%0Aer:p@camera.lan/",
        "rtsp://us%FFer:p@camera.lan/",
        "rtsp://camera.lan/" + "x" * 2048,
    ],
)
def test_what_has_several_readings_or_none_is_refused(text: str) -> None:
    with pytest.raises(ClientError) as refused:
        read_url(text)
    assert (refused.value.status, refused.value.code) == (422, "invalid_url")
    assert refused.value.param == "url"


SECRETS = st.text(min_size=1, max_size=20).filter(
    lambda s: s.isprintable() and s == s.encode("utf-8", "ignore").decode()
)


@given(SECRETS, SECRETS)
def test_credentials_come_back_and_are_never_shown(user: str, password: str) -> None:
    secret = quote(password, safe="")
    url = read_url(f"rtsp://{quote(user, safe='')}:{secret}@10.0.0.9/live")
    assert url.credentials is not None
    assert (url.credentials.user, url.credentials.password) == (user, password)
    plain = RtspUrl("10.0.0.9", 554, "/live", None)
    assert (url.request, url.shown, url.place) == (plain.request, plain.shown, plain.place)
    assert repr(url) == repr(plain)
    assert repr(url.credentials) == "Credentials()"


def test_a_path_is_shown_without_what_may_be_a_password() -> None:
    for target in ("/live?user=a&pw=hush", "/user=a&pw=hush", "?hush"):
        assert "hush" not in read_url(f"rtsp://10.0.0.9{target}").shown
    assert read_url("rtsp://u:p@10.0.0.9/live/1").shown == "rtsp://10.0.0.9:554/live/1"


@given(st.text(alphabet="ab1.0x:@/\\?#[]%-_", max_size=30))
def test_whatever_is_taken_has_the_host_that_others_read_in_it(rest: str) -> None:
    try:
        url = read_url(f"rtsp://{rest}")
    except ClientError:
        return
    other = urlsplit(f"rtsp://{rest}")
    assert (other.hostname is not None and other.hostname.removesuffix(".") == url.host) or (
        url.address == ipaddress.ip_address(other.hostname)
    )
    assert (other.port or 554) == url.port
    assert read_url(url.request) == RtspUrl(url.host, url.port, url.target, None)
