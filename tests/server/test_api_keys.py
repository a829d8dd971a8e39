"""The file of keys: made, renewed, taken away, and never half written."""

import json
import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from server.api_keys import FORM, KeysError, editing, hashed, read
from server.scopes import SCOPES


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "keys.json"


def create(path: Path, name: str) -> str:
    with editing(path) as file:
        return file.create(name, frozenset({"ask"}))


def test_a_key_is_kept_by_its_hash_and_for_its_owner_only(path: Path) -> None:
    key = create(path, "robot-1")
    form = FORM.fullmatch(key)
    assert form and key.startswith("lb_")
    text = path.read_text()
    assert key not in text and form[2] not in text and hashed(key) in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [*path.parent.iterdir()] == [path]
    (kept,) = read(path).keys
    assert (kept.id, kept.name, kept.scopes) == (form[1], "robot-1", ["ask"])
    assert abs(kept.created_at - time.time()) < 5
    assert kept.accepts(key, time.time()) and not kept.accepts(key[:-1] + "!", time.time())


def test_two_keys_are_not_alike(path: Path) -> None:
    keys = [create(path, f"key {number}") for number in range(8)]
    assert len({*keys}) == 8
    assert len({key.id for key in read(path).keys}) == 8
    assert len(read(path).signing_secret) >= 43
    other = path.parent / "other.json"
    create(other, "one")
    assert read(other).signing_secret != read(path).signing_secret


def test_a_renewed_key_is_good_beside_the_old_one_for_a_while(path: Path) -> None:
    first = create(path, "robot")
    now = time.time()
    with editing(path) as file:
        second = file.rotate("robot", 100)
    (key,) = read(path).keys
    assert first[:11] == second[:11] and first != second
    assert [key.accepts(k, now + 50) for k in (first, second)] == [True, True]
    assert [key.accepts(k, now + 101) for k in (first, second)] == [False, True]
    with editing(path) as file:  # by its id; a longer grace does not lengthen the first one's
        third = file.rotate(key.id, 1000)
    (key,) = read(path).keys
    assert [key.accepts(k, now + 101) for k in (first, second, third)] == [False, True, True]
    with editing(path) as file:
        last = file.rotate("robot", 0)
    (key,) = read(path).keys
    assert [key.accepts(k, now) for k in (first, second, third, last)] == [False] * 3 + [True]
    assert len(key.secrets) == 1


def test_a_revoked_key_is_gone(path: Path) -> None:
    create(path, "one")
    create(path, "two")
    with editing(path) as file:
        assert file.revoke("one").name == "one"
    assert [key.name for key in read(path).keys] == ["two"]


@pytest.mark.parametrize("name", ["", " x", "a" * 65, "a\nb", "a/b", "\x1b[31m"])
def test_a_name_is_something_to_read(path: Path, name: str) -> None:
    with pytest.raises(KeysError, match="no name"):
        create(path, name)
    assert not path.exists()


def test_what_cannot_be_done_changes_nothing(path: Path) -> None:
    create(path, "one")
    before = path.read_bytes()
    with pytest.raises(KeysError, match="already"):
        create(path, "one")
    for change in ("rotate", "revoke"):
        with pytest.raises(KeysError, match="no key 'two'"), editing(path) as file:
            getattr(file, change)(*("two", 1)[: 2 if change == "rotate" else 1])
    assert path.read_bytes() == before and [*path.parent.iterdir()] == [path]


def _without(name: str) -> Any:
    def changed(file: dict[str, Any]) -> None:
        del file[name]

    return changed


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.update(version=2),
        lambda file: file.update(signing_secret="s3cret"),
        lambda file: file["keys"].append(file["keys"][0]),
        lambda file: file["keys"][0].update(scopes=[]),
        lambda file: file["keys"][0].update(scopes=["everything"]),
        lambda file: file["keys"][0]["secrets"][0].update(sha256="é" * 64),
        lambda file: file.update(more=1),
        _without("signing_secret"),
        _without("keys"),
    ],
)
def test_a_file_that_is_none_is_named_and_not_repeated(path: Path, change: Any) -> None:
    create(path, "one")
    file = json.loads(path.read_text())
    change(file)
    path.write_text(json.dumps(file))
    with pytest.raises(KeysError, match="no file of API keys") as refused:
        read(path)
    assert str(path) in str(refused.value)
    assert file.get("signing_secret", "none such") not in str(refused.value)
    with pytest.raises(KeysError), editing(path):
        pass
    assert json.loads(path.read_text()) == file  # it is left for somebody to mend


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"9" * 5000])
def test_so_is_what_is_no_json(path: Path, data: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(data)
    with pytest.raises(KeysError, match="no file of API keys"):
        read(path)


def test_a_file_that_is_not_there_says_what_to_do(path: Path) -> None:
    with pytest.raises(KeysError, match="lookback keys create"):
        read(path)
    with pytest.raises(KeysError, match="cannot be read"):
        read(path.parent.parent)  # a folder


def test_many_writers_lose_nothing_and_readers_never_see_half(path: Path) -> None:
    create(path, "first")
    broken: list[BaseException] = []
    done = threading.Event()

    def write(writer: int) -> None:
        for number in range(10):
            create(path, f"{writer}-{number}")

    def look() -> None:
        while not done.is_set():
            try:
                read(path)
            except KeysError as error:
                broken.append(error)

    reader = threading.Thread(target=look)
    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert not broken
    assert len(read(path).keys) == 41


def test_a_link_stays_a_link(path: Path, tmp_path: Path) -> None:
    create(path, "one")
    link = tmp_path / "link.json"
    link.symlink_to(path)
    create(link, "two")
    assert link.is_symlink() and len(read(path).keys) == 2


def test_who_may_read_the_file_stays_who_may(path: Path) -> None:
    create(path, "one")
    if os.geteuid() == 0:  # a service's own file, changed by root
        os.chown(path, 12345, 12345)
    create(path, "two")
    owner = 12345 if os.geteuid() == 0 else os.geteuid()
    assert path.stat().st_uid == owner
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_scopes_are_those_that_are_described() -> None:
    assert {"publish", "ask", "manage", "observe"} == SCOPES
