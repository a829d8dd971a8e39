"""How a camera is told user and password: Digest (RFC 7616, RFC 2617) and Basic (RFC 7617).

What is kept here is shown by nothing that prints it.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from server.rtsp_url import Credentials

_HASHES: Final[dict[str, Callable[[bytes], str]]] = {
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
}
_SCHEME: Final = re.compile(r"\s*(Digest|Basic)\b(.*)", re.IGNORECASE | re.DOTALL)
_FIELD: Final = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class UnknownLogin(Exception):
    """The camera asks for a login of another kind."""


@dataclass
class Login:
    """A challenge of the camera's, and what answers it."""

    scheme: str
    credentials: Credentials
    realm: str
    nonce: str
    algorithm: str
    opaque: str | None
    qop: bool
    stale: bool
    count: int = field(default=0, repr=False)

    def authorization(self, method: str, uri: str) -> str:
        """The value of `Authorization` for the next request."""
        user, password = self.credentials.user, self.credentials.password
        if self.scheme == "basic":
            return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        digest = _HASHES[self.algorithm.removesuffix("-SESS")]
        self.count += 1
        once, count = secrets.token_hex(8), f"{self.count:08x}"
        first = digest(f"{user}:{_unescaped(self.realm)}:{password}".encode())
        if self.algorithm.endswith("-SESS"):
            first = digest(f"{first}:{_unescaped(self.nonce)}:{once}".encode())
        second = digest(f"{method}:{uri}".encode())
        middle = f"{count}:{once}:auth:" if self.qop else ""
        response = digest(f"{first}:{_unescaped(self.nonce)}:{middle}{second}".encode())
        escaped = user.replace("\\", "\\\\").replace('"', '\\"')
        parts = [
            f'username="{escaped}"',
            f'realm="{self.realm}"',
            f'nonce="{self.nonce}"',
            f'uri="{uri}"',
            f'response="{response}"',
        ]
        if self.algorithm != "MD5":
            parts.append(f"algorithm={self.algorithm}")
        if self.opaque is not None:
            parts.append(f'opaque="{self.opaque}"')
        if self.qop:
            parts += ["qop=auth", f"nc={count}", f'cnonce="{once}"']
        return "Digest " + ", ".join(parts)


def login(challenges: Iterable[str], credentials: Credentials) -> Login:
    """For the strongest of these `WWW-Authenticate`: Digest by SHA-256, by MD5, Basic. Raises
    UnknownLogin where none of them is known."""
    known = [one for one in (_login(text, credentials) for text in challenges) if one]
    if not known:
        raise UnknownLogin("it asks for a login that is neither Digest nor Basic")
    return min(known, key=lambda one: (one.scheme != "digest", one.algorithm.startswith("MD5")))


def _login(text: str, credentials: Credentials) -> Login | None:
    scheme = _SCHEME.match(text)
    if not scheme:
        return None
    found: dict[str, str] = {}
    for name, quoted, plain in _FIELD.findall(scheme[2]):
        found.setdefault(name.lower(), quoted or plain)  # another challenge may follow
    algorithm = found.get("algorithm", "MD5").upper()
    if algorithm.removesuffix("-SESS") not in _HASHES:
        return None
    offered = [qop.strip().lower() for qop in found.get("qop", "").split(",") if qop.strip()]
    if scheme[1].lower() == "digest" and (
        "nonce" not in found or (offered and "auth" not in offered)
    ):
        return None
    return Login(
        scheme[1].lower(),
        credentials,
        found.get("realm", ""),
        found.get("nonce", ""),
        algorithm,
        found.get("opaque"),
        bool(offered),
        found.get("stale", "").lower() == "true",
    )


def _unescaped(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted)
