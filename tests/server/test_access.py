"""What a caller may reach and do."""

import pytest
from starlette.datastructures import Headers

from server.access import Caller, offered
from server.errors import ClientError
from server.scopes import SCOPES


def test_a_session_is_its_keys() -> None:
    ours = Caller("me", SCOPES, None, "k1")
    assert (
        ours.reaches("s1", "k1") and not ours.reaches("s1", "k2") and not ours.reaches("s1", None)
    )
    token = Caller("me", SCOPES, "s1", "k1")
    assert token.reaches("s1", "k1")
    assert not token.reaches("s2", "k1") and not token.reaches("s1", "k2")
    anybody = Caller("127.0.0.1", SCOPES)
    assert anybody.reaches("s1", None) and not anybody.reaches("s1", "k1")


def test_limits_are_a_keys_or_an_addresses() -> None:
    key = Caller("me", SCOPES, None, "k1")
    assert key.party == Caller("me", frozenset(), "s1", "k1").party != Caller("k1", SCOPES).party


def test_one_of_the_scopes_is_enough() -> None:
    asker = Caller("me", frozenset({"ask"}))
    asker.require("ask")
    asker.require("publish", "ask")
    with pytest.raises(ClientError, match="'publish' or 'manage'; these credentials have: ask"):
        asker.require("publish", "manage")


def test_subprotocols_are_read_from_all_lines() -> None:
    lines = [(b"sec-websocket-protocol", b"a, b"), (b"sec-websocket-protocol", b"c")]
    assert offered(Headers(raw=lines)) == ["a", "b", "c"]
    assert offered(Headers()) == []
