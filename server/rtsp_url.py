"""An IP camera's URL: taken apart once, by one reader, so that what is checked is what is used.

Knows nothing about who may be reached.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from server.errors import ClientError

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

DEFAULT_PORT: Final = 554
_MOST_CHARACTERS: Final = 2048
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER: Final = re.compile(r"\d+|0x[0-9a-f]*")
_SECRET_FROM: Final = re.compile(r"[?=]")


@dataclass(frozen=True)
class Credentials:
    """For the camera. Nothing that prints this shows them."""

    user: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True)
class RtspUrl:
    """host: an address as `ipaddress` writes it, or a name in lower case. target: path and query
    as they were given. credentials: None where the URL has none."""

    host: str
    port: int
    target: str = field(repr=False)
    credentials: Credentials | None = field(repr=False)

    @property
    def address(self) -> IpAddress | None:
        """The host, where it is an address and no name."""
        try:
            return plain_address(self.host)
        except ValueError:
            return None

    @property
    def place(self) -> str:
        """`host:port`, for logs."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def request(self) -> str:
        """What RTSP requests name: the URL without credentials."""
        return f"rtsp://{self.place}{self.target}"

    @property
    def shown(self) -> str:
        """The URL as clients are told it. Many cameras take passwords in the query, some in the
        path, so it ends at the first `?` or `=`."""
        path = _SECRET_FROM.split(self.target, maxsplit=1)[0]
        return f"rtsp://{self.place}{path}" + ("…" if path != self.target else "")


def read_url(text: str) -> RtspUrl:
    """Takes a URL apart (RFC 3986, as RTSP cameras use it). Raises ClientError (422), which
    repeats nothing of the URL but its scheme.

    A `@` in a password may stand as it is: the host begins after the last one. Other notations of
    addresses (`0x7f.1`, `2130706433`) are refused, not understood.
    """
    if len(text) > _MOST_CHARACTERS:
        raise _invalid(f"It has {len(text)} characters; at most {_MOST_CHARACTERS} are taken.")
    if re.search(r"[^!-~]", text):
        raise _invalid("Write spaces and all but ASCII percent-encoded (%20), names in punycode.")
    scheme, mark, rest = text.partition("://")
    if not mark or scheme.lower() != "rtsp":
        shown = scheme if mark and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,15}", scheme) else ""
        raise _invalid(f"It must begin with rtsp://{f', not {shown}://' if shown else ''}.")
    if "#" in rest:
        raise _invalid("It has a #: in a password write %23.")
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    target = rest[len(authority) :]
    if "\\" in authority:
        raise _invalid("It has a backslash before the path: in a password write %5C.")
    if "@" in target:
        raise _invalid("It has a @ after the host: write / ? @ in a password as %2F %3F %40.")
    userinfo, at, place = authority.rpartition("@")
    host, port = read_place(place)
    return RtspUrl(host, port or DEFAULT_PORT, target, _credentials(userinfo) if at else None)


def read_place(place: str) -> tuple[str, int | None]:
    """Host and port of `host[:port]` or `[IPv6][:port]`. Raises ClientError (422)."""
    if place.startswith("["):
        host, bracket, port = place[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise _invalid("An IPv6 address stands in brackets: [fd00::20]:554.")
        try:
            address = plain_address(host)
        except ValueError:
            raise _invalid("What stands in brackets is no IPv6 address.") from None
        return str(address), _port(port[1:]) if port else None
    host, colon, port = place.partition(":")
    return _host(host.lower().removesuffix(".")), _port(port) if colon else None


def plain_address(text: str) -> IpAddress:
    """The address; one of IPv4 that is written as IPv6 (`::ffff:10.0.0.1`) is of IPv4. Raises
    ValueError."""
    return plain(ipaddress.ip_address(text))


def plain(address: IpAddress) -> IpAddress:
    """As above. Raises ValueError for an address with a zone (`%eth0`)."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise ValueError("An address with a zone is not taken.")
        return address.ipv4_mapped or address
    return address


def _host(host: str) -> str:
    if not host:
        raise _invalid("It names no host.")
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        # The system's resolver would understand 127.1, 0x7f000001 and 0177.0.0.1, too.
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise _invalid("Write an IPv4 address as four decimal numbers: 192.168.1.20.") from None
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _invalid("Its host is neither a name nor an address.")
    return host


def _port(port: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise _invalid("Its port is no number from 1 to 65535.")
    return int(port)


def _credentials(userinfo: str) -> Credentials:
    user, _, password = userinfo.partition(":")
    try:
        credentials = Credentials(*(unquote(part, errors="strict") for part in (user, password)))
    except UnicodeDecodeError:
        raise _invalid("Its user or password is percent-encoded, but not as UTF-8.") from None
    if re.search(r"[\x00-\x1f\x7f]", credentials.user + credentials.password):
        raise _invalid("Its user or password has control characters.")
    return credentials


def _invalid(why: str) -> ClientError:
    return ClientError(
        "invalid_url",
        f"The camera's URL cannot be used. {why} It looks like "
        "rtsp://user:password@192.168.1.20:554/path.",
        param="url",
        status=422,
    )
