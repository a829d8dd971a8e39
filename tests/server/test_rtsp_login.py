"""Digest and Basic as the standards' examples have them."""

import hashlib
import secrets

import pytest

from server.rtsp_login import UnknownLogin, login
from server.rtsp_url import Credentials

MUFASA = Credentials("Mufasa", "Circle of Life")
CHALLENGE = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
CLIENT_NONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(
    algorithm: str, response: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _: CLIENT_NONCE)
    given = login([CHALLENGE.format(algorithm)], MUFASA)
    first = given.authorization("GET", "/dir/index.html")
    assert f'response="{response}"' in first and "nc=00000001" in first and "qop=auth," in first
    assert 'opaque="FQhe' in first
    assert "nc=00000002" in given.authorization("GET", "/dir/index.html")


def test_digest_as_most_cameras_have_it() -> None:
    given = login(['Digest realm="IP Camera(1)", nonce="abc", stale="FALSE"'], MUFASA)
    first = hashlib.md5(b"Mufasa:IP Camera(1):Circle of Life").hexdigest()
    second = hashlib.md5(b"DESCRIBE:rtsp://10.0.0.9:554/live").hexdigest()
    wanted = hashlib.md5(f"{first}:abc:{second}".encode()).hexdigest()
    said = given.authorization("DESCRIBE", "rtsp://10.0.0.9:554/live")
    assert said.endswith(f'response="{wanted}"') and "qop" not in said and not given.stale


def test_basic() -> None:
    assert login(['Basic realm="x"'], MUFASA).authorization("PLAY", "x") == (
        "Basic TXVmYXNhOkNpcmNsZSBvZiBMaWZl"
    )


def test_the_strongest_is_taken() -> None:
    offered = ['Basic realm="x"', *(f'Digest realm="x", nonce="n", algorithm={name}'
                                    for name in ("MD5", "SHA-256", "SHA-512-256"))]  # fmt: skip
    assert login(offered, MUFASA).algorithm == "SHA-256"
    assert login(offered[:2], MUFASA).algorithm == "MD5"
    assert login([f"{offered[1]}, {offered[0]}"], MUFASA).scheme == "digest"


@pytest.mark.parametrize(
    "challenges",
    [[], ["Bearer"], ['Digest realm="x"'], ['Digest nonce="n", qop="auth-int"'],
     ['Digest nonce="n", algorithm=ROT13']],
)  # fmt: skip
def test_another_kind_of_login(challenges: list[str]) -> None:
    with pytest.raises(UnknownLogin):
        login(challenges, MUFASA)


def test_nothing_shows_the_password() -> None:
    assert "Circle" not in repr(login(['Basic realm="x"'], MUFASA))
