"""How much one caller may take: how often, and how many at once."""

import contextlib
import ipaddress
import math
from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Final

from server.errors import RETRY_SECONDS, ClientError
from server.rate import Rate
from server.settings import GatewaySettings

_MOST_CALLERS: Final = 10_000
_BURST_SECONDS: Final = 3.0


class Rates:
    """A token bucket for each caller. Those of callers that were not seen for longest are
    forgotten, so that many addresses take no more than so much memory."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = max(1.0, burst)
        self._rates: OrderedDict[str, Rate] = OrderedDict()

    def of(self, caller: str) -> Rate:
        """The bucket of this caller."""
        rate = self._rates.pop(caller, None) or Rate(self._per_second, self._burst)
        self._rates[caller] = rate
        if len(self._rates) > _MOST_CALLERS:
            self._rates.popitem(last=False)
        return rate


class Held:
    """What callers have at once, and how many of it they may."""

    def __init__(self, most: int, code: str, message: str) -> None:
        self._most = most
        self._code = code
        self._message = message.format(most=most)
        self._counts: Counter[str] = Counter()

    @contextlib.contextmanager
    def one_more(self, caller: str, others: int = 0) -> Iterator[None]:
        """While this lasts the caller has one more. others: what it has besides those counted
        here. Raises ClientError (429)."""
        if self._counts[caller] + others >= self._most:
            raise ClientError(self._code, self._message, status=429, retry_after=RETRY_SECONDS)
        self._counts[caller] += 1
        try:
            yield
        finally:
            self._counts[caller] -= 1
            if not self._counts[caller]:
                del self._counts[caller]


class Limits:
    """All of them, of one gateway. Callers are API keys, or addresses where there are none."""

    def __init__(self, settings: GatewaySettings) -> None:
        def rates(per_second: float) -> Rates:
            return Rates(per_second, per_second * _BURST_SECONDS)

        self._requests = rates(settings.requests_per_second)
        self._sessions = rates(settings.new_sessions_per_second)
        per_second = settings.failures_per_minute / 60
        self._failures = Rates(per_second, settings.failures_per_minute)
        self.sessions = Held(
            settings.sessions_each,
            "too_many_sessions",
            "You have {most} sessions already: close one, or raise LOOKBACK_SESSIONS_EACH.",
        )
        self.imports = Held(
            settings.most_imports,
            "too_many_imports",
            "{most} snapshots are being imported already: try again later, or raise "
            "LOOKBACK_MOST_IMPORTS.",
        )
        self.websockets = Held(
            settings.websockets_each,
            "too_many_websockets",
            "You have {most} websockets already: close one, or raise LOOKBACK_WEBSOCKETS_EACH.",
        )

    def request(self, caller: str) -> None:
        """Counts a request. Raises ClientError (429)."""
        _take(self._requests.of(caller), "requests", "LOOKBACK_REQUESTS_PER_SECOND")

    def new_session(self, caller: str) -> None:
        """Counts a session that is asked for. Raises ClientError (429)."""
        _take(self._sessions.of(caller), "new sessions", "LOOKBACK_NEW_SESSIONS_PER_SECOND")

    def failed(self, address: str) -> None:
        """Counts credentials that were wrong."""
        self._failures.of(address).allows()

    def may_guess(self, address: str) -> None:
        """Raises ClientError (429) where too many credentials from there were wrong."""
        wait = self._failures.of(address).wait_seconds()
        if wait > 0:
            raise _too_many("wrong credentials", "LOOKBACK_FAILURES_PER_MINUTE", wait)


def _take(rate: Rate, what: str, setting: str) -> None:
    if not rate.allows():
        raise _too_many(what, setting, rate.wait_seconds())


def _too_many(what: str, setting: str, wait_seconds: float) -> ClientError:
    return ClientError(
        "rate_limited",
        f"Too many {what}: wait {math.ceil(wait_seconds)} s, or raise {setting}.",
        status=429,
        retry_after=math.ceil(wait_seconds),
    )


def network(host: str) -> str:
    """Whom an address belongs to: itself, and in IPv6 its /64, all of which one host may use."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
