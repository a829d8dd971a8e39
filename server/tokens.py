"""Short-lived session tokens (JWT, RFC 7519): for browsers and cameras that no API key is given to.

Signed with HS256, and good for one session, some scopes and a time. Knows nothing about requests.
"""

import time
from dataclasses import dataclass
from typing import Any, Final

import jwt

from server.errors import ClientError
from server.scopes import SCOPES, Scope

_ALGORITHM: Final = "HS256"
_ISSUER: Final = "lookback"
_CLAIMS: Final = ("exp", "iss", "sub", "session", "scope")


@dataclass(frozen=True)
class Grant:
    """What a token says. key: the id of the API key that asked for it, "" where there are none;
    expires_at: Unix seconds."""

    key: str
    session: str
    scopes: frozenset[Scope]
    expires_at: int


def sign(grant: Grant, secret: str) -> str:
    """The token. secret: at least 32 bytes (RFC 7518, section 3.2)."""
    claims = {
        "iss": _ISSUER,
        "sub": grant.key,
        "session": grant.session,
        "scope": " ".join(sorted(grant.scopes)),  # as RFC 8693, section 4.2, writes it
        "iat": int(time.time()),
        "exp": grant.expires_at,
    }
    return jwt.encode(claims, secret, _ALGORITHM)


def verify(token: str, secret: str) -> Grant | None:
    """What a token says, None where it is not one of ours: another secret, another algorithm
    (`none` is one), or changed. Raises ClientError (401, `expired_token`) for one that was."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            secret,
            algorithms=[_ALGORITHM],
            issuer=_ISSUER,
            # Clocks of gateways differ: a token may seem to come from the future.
            options={"require": list(_CLAIMS), "verify_iat": False},
        )
    except jwt.ExpiredSignatureError as error:  # its signature was good
        raise ClientError(
            "expired_token", "This token has expired: ask for a new one.", status=401
        ) from error
    except jwt.InvalidTokenError:
        return None
    session, scope = claims["session"], claims["scope"]
    if not isinstance(session, str) or not isinstance(scope, str):
        return None
    scopes = frozenset(held for held in SCOPES if held in scope.split())
    return Grant(claims["sub"], session, scopes, claims["exp"])
