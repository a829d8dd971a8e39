"""Keys that change while a gateway runs."""

import json
import logging
import time
from pathlib import Path

import pytest

from server.api_keys import KeysError, editing
from server.keyring import Keyring
from tests.server.keyed import made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_change_holds_with_the_next_question(path: Path) -> None:
    first = made(path, "first")
    ring = Keyring(path)
    known = ring.verify(first)
    assert known is not None and known.name == "first"
    second = made(path, "second")
    assert ring.verify(second)
    with editing(path) as file:
        newer = file.rotate("first", 60)
        file.revoke("second")
    assert ring.verify(first) and ring.verify(newer) and not ring.verify(second)
    assert ring.find(known.id) and not ring.find(second[3:11])
    with editing(path) as file:
        file.rotate("first", 0)
    assert not ring.verify(first) and not ring.verify(newer)


def test_an_old_secret_ends_by_itself(path: Path) -> None:
    first = made(path, "first")
    with editing(path) as file:
        file.rotate("first", 0.3)
    ring = Keyring(path)
    assert ring.verify(first)
    time.sleep(0.35)
    assert not ring.verify(first)


@pytest.mark.parametrize("broken", [b"{", b"", b'{"version": 1}', None])
def test_a_broken_file_leaves_the_last_good_keys_and_is_told_once(
    path: Path, broken: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    key = made(path, "first")
    good = path.read_bytes()
    ring = Keyring(path)
    if broken is None:
        path.unlink()
    else:
        path.write_bytes(broken)
    assert [bool(ring.verify(key)) for _ in range(3)] == [True] * 3
    (told,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert str(path) in told and "go on to hold" in told
    file = json.loads(good)
    file["keys"] = []
    path.write_text(json.dumps(file))  # mended, in place
    assert not ring.verify(key)


def test_it_begins_with_good_keys_or_not_at_all(path: Path) -> None:
    with pytest.raises(KeysError):
        Keyring(path)
    path.write_bytes(b"{")
    with pytest.raises(KeysError):
        Keyring(path)


def test_a_file_that_others_may_read_is_complained_of(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made(path, "first")
    Keyring(path)
    assert not caplog.records
    path.chmod(0o644)
    Keyring(path)
    assert "chmod 600" in caplog.text


def test_a_file_without_keys_lets_nobody_in_and_says_so(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with editing(path):
        pass
    ring = Keyring(path)
    assert "nobody" in caplog.text
    assert not ring.verify("") and not ring.verify("lb_" + "0" * 8 + "_" + "A" * 43)
