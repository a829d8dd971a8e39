"""Folders, and hub ids against a hub on this machine: what it answers, refuses or never says."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from model_worker import hub
from model_worker.errors import ModelError
from model_worker.hub import resolve_folder

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no hub beyond this machine."""
    folder = tmp_path / "cache"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    return folder


def remember(cache: Path, name: str, reference: str) -> Path:
    """Put a config into the cache as the hub's client does."""
    folder = cache / f"models--{name.replace('/', '--')}"
    snapshot = folder / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text('{"model_type": "qwen2_vl"}')
    (folder / "refs").mkdir()
    (folder / "refs" / reference).write_text(COMMIT)
    return snapshot


class Refusing(BaseHTTPRequestHandler):
    """A hub that refuses everything in one way."""

    status: ClassVar[int] = 404
    code: ClassVar[str] = ""

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("X-Error-Code", self.code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing on stderr."""


@contextmanager
def serving(
    handler: type[BaseHTTPRequestHandler], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The hub is at this handler."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        file = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", file)
        yield
        server.shutdown()


def test_a_folder_is_its_own_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert resolve_folder(tmp_path) == tmp_path
    assert resolve_folder(str(tmp_path)) == tmp_path


def test_a_folder_has_no_revision(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="leave the revision out"):
        resolve_folder(tmp_path, "v1")


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        resolve_folder(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", "/no/such/folder", "./no/such", "a/b/c", "a b/c"])
def test_what_is_neither_folder_nor_hub_id_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="hub id"):
        resolve_folder(name)


@pytest.mark.parametrize("offline", [True, False])
def test_without_hub_and_cache_there_is_one_clear_line(
    offline: bool, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    with pytest.raises(ModelError, match="nobody/nothing is no local folder and not in") as raised:
        resolve_folder("nobody/nothing")
    assert str(cache) in str(raised.value)
    assert "give a folder" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("offline", [True, False])
def test_what_the_cache_holds_needs_no_hub(
    offline: bool, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    snapshot = remember(cache, "owner/name", "main")
    assert resolve_folder("owner/name") == snapshot
    assert resolve_folder("owner/name", COMMIT) == snapshot
    with pytest.raises(ModelError, match="owner/name at revision 'v2' is no local folder and not"):
        resolve_folder("owner/name", "v2")


def test_a_revision_is_found_in_the_cache_by_its_name(cache: Path) -> None:
    snapshot = remember(cache, "owner/name", "v1")
    assert resolve_folder("owner/name", "v1") == snapshot
    with pytest.raises(ModelError, match="not in the cache"):
        resolve_folder("owner/name")


@pytest.mark.parametrize("cached", [False, True])
def test_a_hub_that_never_answers_is_given_up(
    cached: bool, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "HUB_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        began = time.monotonic()
        if cached:
            snapshot = remember(cache, "owner/name", "main")
            assert resolve_folder("owner/name") == snapshot
        else:
            with pytest.raises(ModelError, match="timed out"):
                resolve_folder("owner/name")
    assert time.monotonic() - began < 60.0  # without end is what it must not be


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "RepoNotFound", "the hub has no model owner/name: check the name"),
        (404, "RevisionNotFound", "the hub has owner/name, but not at revision 'v9'"),
        (403, "GatedRepo", "owner/name is gated: accept its terms"),
        (500, "", "could not be fetched from the hub .*500"),
    ],
)
def test_what_the_hub_refuses_is_said(
    monkeypatch: pytest.MonkeyPatch, status: int, code: str, words: str
) -> None:
    monkeypatch.setattr(Refusing, "status", status)
    monkeypatch.setattr(Refusing, "code", code)
    with serving(Refusing, monkeypatch), pytest.raises(ModelError, match=words):
        resolve_folder("owner/name", "v9")


class Giving(Refusing):
    """A hub that has one model of three files."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        files = {
            "config.json": b'{"model_type": "qwen2_vl"}',
            "model.safetensors": b"heavy",
            "notes.md": b"left on the hub",
        }
        path = self.path.split("?")[0]
        name = path.rpartition("/")[2]
        if "/tree/" in path:
            body = json.dumps(
                [
                    {"type": "file", "path": name, "size": len(body), "oid": "0" * 40}
                    for name, body in files.items()
                ]
            ).encode()
        elif path.startswith("/api/models/"):
            siblings = [{"rfilename": name} for name in files]
            body = json.dumps({"id": "owner/name", "sha": COMMIT, "siblings": siblings}).encode()
        else:
            body = files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{name}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


def fetched(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_what_the_hub_has_is_fetched_and_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Giving, monkeypatch):
        described = resolve_folder("owner/name", weights=False)
        assert fetched(described) == {"config.json"}
        folder = resolve_folder("owner/name")
    assert cache in folder.parents
    assert fetched(folder) == {"config.json", "model.safetensors"}
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert resolve_folder("owner/name") == folder


def test_a_cache_without_the_weights_is_not_taken_for_a_whole_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(Giving, monkeypatch):
        folder = resolve_folder("owner/name", weights=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert resolve_folder("owner/name", weights=False) == folder
    with pytest.raises(ModelError, match="not whole in the cache"):
        resolve_folder("owner/name")
