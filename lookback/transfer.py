"""Sessions between a gateway and files."""

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from lookback_client import Lookback, LookbackError
from model_worker.snapshot_header import Option

T = TypeVar("T")


class TransferError(RuntimeError):
    """It did not come about; the message says why."""


def take(url: str, session: str, file: Path, option: Option) -> int:
    """Writes the session's memory to the file; its bytes. Raises TransferError."""

    async def done() -> int:
        async with _gateway(url) as lookback:
            return await lookback.join(session).export(file, option)

    return _run(done(), file)


def bring(url: str, file: Path) -> str:
    """The id of a session that begins with the memory in the file. Raises TransferError."""

    async def done() -> str:
        async with _gateway(url) as lookback:
            return await lookback.import_session(file).reserve()

    return _run(done(), file)


def _gateway(url: str) -> Lookback:
    try:
        return Lookback(url, api_key=os.environ.get("LOOKBACK_API_KEY") or None)
    except ValueError as error:
        raise TransferError(f"--url: {error}") from error


def _run(work: Coroutine[Any, Any, T], file: Path) -> T:
    try:
        return asyncio.run(work)
    except LookbackError as error:
        raise TransferError(error.message) from error
    except OSError as error:
        raise TransferError(f"{file}: {error.strerror}") from error
