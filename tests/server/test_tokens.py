"""Tokens: what they say holds, and nobody else can say it."""

import base64
import json
import time
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import ClientError
from server.tokens import Grant, sign, verify

SECRET = "s" * 43
OTHER = "o" * 43


def grant(seconds: float = 60) -> Grant:
    return Grant("0a1b2c3d", "the-session", frozenset({"ask"}), int(time.time() + seconds))


def test_what_was_signed_is_read() -> None:
    signed = grant()
    assert verify(sign(signed, SECRET), SECRET) == signed


def test_another_secrets_token_is_none() -> None:
    assert verify(sign(grant(), OTHER), SECRET) is None


def test_one_that_expired_says_so() -> None:
    with pytest.raises(ClientError, match="expired") as refused:
        verify(sign(grant(-1), SECRET), SECRET)
    assert (refused.value.status, refused.value.code) == (401, "expired_token")
    assert verify(sign(grant(-1), OTHER), SECRET) is None  # whose it was is not told to guessers


def _part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def test_no_other_algorithm_is_taken() -> None:
    claims = jwt.decode(sign(grant(), SECRET), options={"verify_signature": False})
    for algorithm in ("none", "None", "NONE", ""):
        unsigned = f"{_part({'alg': algorithm, 'typ': 'JWT'})}.{_part(claims)}."
        assert verify(unsigned, SECRET) is None
        assert verify(unsigned + "AAAA", SECRET) is None
    assert verify(jwt.encode(claims, None, "none"), SECRET) is None
    assert verify(jwt.encode(claims, SECRET * 2, "HS512"), SECRET * 2) is None
    _, body, signature = sign(grant(), SECRET).split(".")
    for other in ({"alg": "HS384"}, {"alg": "none"}, {"alg": "HS256", "crit": ["x"]}):
        assert verify(f"{_part(other)}.{body}.{signature}", SECRET) is None


def test_what_was_changed_is_refused() -> None:
    token = sign(grant(), SECRET)
    head, body, signature = token.split(".")
    claims = jwt.decode(token, options={"verify_signature": False})
    for change in (
        {"session": "another"}, {"scope": "ask publish"}, {"exp": claims["exp"] + 1}, {"sub": "ff"},
    ):  # fmt: skip
        assert verify(f"{head}.{_part(claims | change)}.{signature}", SECRET) is None
    for broken in (
        f"{head}.{body}",
        f"{head}.{body}.",
        f".{body}.{signature}",
        token[:-2],
        "..",
        "",
    ):
        assert verify(broken, SECRET) is None


@pytest.mark.parametrize("missing", ["exp", "sub", "session", "scope", "iss"])
def test_what_says_too_little_is_refused(missing: str) -> None:
    claims = jwt.decode(sign(grant(), SECRET), options={"verify_signature": False})
    del claims[missing]
    assert verify(jwt.encode(claims, SECRET, "HS256"), SECRET) is None


@pytest.mark.parametrize(
    "change",
    [
        {"session": 1}, {"session": None}, {"scope": ["ask"]}, {"scope": None}, {"iss": "else"},
        {"exp": "soon"}, {"sub": 3},
    ],
)  # fmt: skip
def test_what_says_it_otherwise_is_refused(change: dict[str, Any]) -> None:
    claims = jwt.decode(sign(grant(), SECRET), options={"verify_signature": False})
    try:
        assert verify(jwt.encode(claims | change, SECRET, "HS256"), SECRET) is None
    except TypeError:  # PyJWT does not sign it
        assert "sub" in change or "iss" in change


def test_scopes_that_are_none_give_nothing() -> None:
    claims = jwt.decode(sign(grant(), SECRET), options={"verify_signature": False})
    read = verify(jwt.encode(claims | {"scope": "root askpublish"}, SECRET, "HS256"), SECRET)
    assert read is not None and read.scopes == frozenset()


def test_a_clock_that_is_slow_does_not_refuse_a_new_token() -> None:
    claims = jwt.decode(sign(grant(), SECRET), options={"verify_signature": False})
    ahead = jwt.encode(claims | {"iat": int(time.time()) + 30}, SECRET, "HS256")
    assert verify(ahead, SECRET) == grant()


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80) | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*", fullmatch=True))
def test_nonsense_is_refused(token: str) -> None:
    assert verify(token, SECRET) is None
