"""Where everything begins: one gateway."""

import ssl
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lookback_client.gateway import Gateway
from lookback_client.session import Session


class Lookback:
    """A gateway at `url`, for `async with`.

    api_key: where the gateway asks for one; a session's token will do for `join`. patience:
    seconds for which a gateway that has no room, or no worker yet, is waited for.
    reconnect_seconds: for how long a lost connection is sought. tls: an SSL context that trusts
    certificates of one's own. Raises ValueError for what is no address.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8400",
        *,
        api_key: str | None = None,
        patience: float = 30.0,
        reconnect_seconds: float = 60.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._gateway = Gateway(url, api_key, patience, tls)
        self._reconnect_seconds = reconnect_seconds

    def __repr__(self) -> str:
        return f"Lookback({self._gateway.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._gateway.close()

    def session(
        self,
        *,
        instructions: str | None = None,
        budget_tokens: int | None = None,
        keep: bool = False,
    ) -> Session:
        """A new session, for `async with`; it is deleted at the end of the block, with its
        memory, unless it is to be kept for others that have joined it.

        instructions: a system prompt for all its answers. budget_tokens: visual tokens that a
        compression pass leaves, per layer and head; None takes the worker's default.
        """
        wanted: dict[str, Any] = {}
        if instructions is not None:
            wanted["instructions"] = instructions
        if budget_tokens is not None:
            wanted["budget_tokens"] = budget_tokens
        return Session(self._gateway, "", self._reconnect_seconds, wanted, keep)

    def import_session(self, file: str | Path, *, keep: bool = False) -> Session:
        """A new session, as `session`, that begins with the memory in this file, which
        `Session.export` has written: with all that it has seen and said."""
        return Session(self._gateway, "", self._reconnect_seconds, Path(file), keep)

    def join(self, session: str, *, token: str | None = None) -> Session:
        """A session that somebody else has made, for `async with`; it goes on after the block.

        token: from Session.token, in place of the API key.
        """
        gateway = self._gateway if token is None else self._gateway.as_bearer(token)
        return Session(gateway, session, self._reconnect_seconds)
