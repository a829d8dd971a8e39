"""Clients of the broker, made from its URL: the same for the embedded one and any Redis."""

import asyncio
import time
from typing import Any
from urllib.parse import urlsplit

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.exceptions import AuthenticationError, ConnectionError, RedisError
from redis.retry import Retry

BLOCK_MILLISECONDS = 2000
"""The longest a blocking read may wait; well below SOCKET_SECONDS, or the client gives up first."""
SOCKET_SECONDS = 5.0
"""How long a reply may take. One that does not come is not asked for again: whoever waits is told,
and the next call makes a new connection."""
_RETRIES = 3


class BrokerError(RuntimeError):
    """The broker cannot be started or reached; the message says what to change."""


def connect(url: str, *, wait_seconds: float = 5.0) -> "redis.Redis":
    """A client whose server has answered; replies are bytes.

    url: `unix:///path`, `redis://[user:password@]host:port/db` or `rediss://…` (TLS).
    Raises BrokerError when the URL is malformed or nothing answers within wait_seconds.
    """
    client = _made(redis.Redis, Retry, url)
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            client.ping()
            return client
        except RedisError as error:
            if isinstance(error, AuthenticationError) or time.monotonic() > deadline:
                client.close()
                raise _unreachable(url, error) from error
        time.sleep(0.1)


def hasty(url: str, seconds: float) -> "redis.Redis":
    """A client whose calls take so long at most: for what is rather left out than waited for. It
    connects with its first call. Raises BrokerError when the URL is malformed."""
    client: redis.Redis = _made(redis.Redis, Retry, url, seconds, retries=0)
    return client


async def connect_async(url: str, *, wait_seconds: float = 5.0) -> "redis.asyncio.Redis":
    """As `connect`, for asyncio."""
    client = _made(redis.asyncio.Redis, AsyncRetry, url)
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            await client.ping()
            return client
        except RedisError as error:
            if isinstance(error, AuthenticationError) or time.monotonic() > deadline:
                await client.aclose()
                raise _unreachable(url, error) from error
        await asyncio.sleep(0.1)


def shown(url: str) -> str:
    """The URL without its password, for messages and logs."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return parts._replace(netloc=f"***@{parts.netloc.rpartition('@')[2]}").geturl()


def _made(
    client: Any, retry: Any, url: str, seconds: float = SOCKET_SECONDS, retries: int = _RETRIES
) -> Any:
    if urlsplit(url).scheme not in ("redis", "rediss", "unix"):
        raise BrokerError(
            f"The broker's address {shown(url)!r} is none: write redis://host:6379, "
            "rediss://host:6379 or unix:///path/to/socket."
        )
    try:
        return client.from_url(
            url,
            socket_timeout=seconds,
            socket_connect_timeout=min(seconds, 3.0),
            health_check_interval=30,
            protocol=2,  # pinned, because the shape of XREAD's reply depends on it
            retry=retry(ExponentialBackoff(cap=0.5, base=0.05), retries, (ConnectionError,)),
        )
    except ValueError as error:
        raise BrokerError(f"The broker's address {shown(url)!r} is malformed: {error}") from error


def _unreachable(url: str, error: RedisError) -> BrokerError:
    return BrokerError(
        f"No broker answers at {shown(url)} ({error}). Start a Redis there, correct "
        "--broker-url (LOOKBACK_BROKER_URL), or leave it unset on one machine."
    )
