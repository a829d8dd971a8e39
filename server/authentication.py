"""Finds out who calls, before anything of a request is read.

Credentials stand in the header `Authorization: Bearer …`, or, since browsers can set none on a
websocket, in an offered subprotocol; never in a URL, which ends up in logs.
"""

import contextlib
import hashlib
import secrets
import time
from collections import OrderedDict
from typing import Final
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from server.access import SUBPROTOCOL_KEY, Caller, missing_credentials, offered
from server.errors import ClientError
from server.keyring import Keyring
from server.limits import Limits, network
from server.refusal import turn_away
from server.scopes import SCOPES, Scope
from server.settings import GatewaySettings
from server.tokens import Grant, sign, verify

_GUARDED: Final = ("/v1/", "/whip/")
_IN_URL: Final = frozenset(
    {"access_token", "api-key", "api_key", "apikey", "authorization", "bearer", "key", "token"}
)
_MOST_REMEMBERED: Final = 4096


class Authentication:
    """The credentials of one gateway. Without API keys everybody is let in."""

    def __init__(self, settings: GatewaySettings, limits: Limits) -> None:
        """Raises KeysError."""
        self._keys = None if settings.api_keys_file is None else Keyring(settings.api_keys_file)
        given = settings.token_secret
        self._signing = None if given is None else given.get_secret_value()
        self._own_signing = secrets.token_urlsafe(32)  # of a gateway without keys
        self._limits = limits
        # By address: whoever was let in before is not kept out because of a neighbour's guesses.
        self._let_in: OrderedDict[tuple[str, bytes], None] = OrderedDict()

    @property
    def on(self) -> bool:
        """Whether credentials are asked for."""
        return self._keys is not None

    def caller(self, credentials: str | None, address: str) -> Caller | None:
        """Whose these are; None: nobody's, where some are needed. Raises ClientError, 401 or
        429."""
        if self._keys is None:
            return Caller(address, SCOPES)
        if credentials is None:
            return None
        remembered = address, hashlib.sha256(credentials.encode()).digest()
        if remembered not in self._let_in:
            self._limits.may_guess(address)
        caller = self._known(self._keys, credentials)
        if caller is None:
            self._limits.failed(address)
            self._let_in.pop(remembered, None)
            raise ClientError(
                "invalid_credentials",
                "These credentials are not good here: no API key or token of this gateway's, or "
                "it was revoked.",
                status=401,
            )
        self._let_in[remembered] = None
        self._let_in.move_to_end(remembered)
        if len(self._let_in) > _MOST_REMEMBERED:
            self._let_in.popitem(last=False)
        return caller

    def _known(self, keys: Keyring, credentials: str) -> Caller | None:
        key = keys.verify(credentials)
        if key is not None:
            return Caller(key.name, frozenset(key.scopes), None, key.id)
        grant = verify(credentials, self._secret)
        if grant is None:
            return None
        signer = keys.find(grant.key)  # its tokens end with a key
        if signer is None:
            return None
        return Caller(signer.name, grant.scopes & {*signer.scopes}, grant.session, signer.id)

    @property
    def _secret(self) -> str:
        if self._signing is not None:
            return self._signing
        return self._own_signing if self._keys is None else self._keys.signing_secret

    def token(
        self, caller: Caller, session: str, scopes: frozenset[Scope], seconds: int
    ) -> tuple[str, int]:
        """A token for this session, and when it expires, in Unix seconds."""
        expires_at = int(time.time()) + seconds
        return sign(Grant(caller.key or "", session, scopes, expires_at), self._secret), expires_at

    def holds(self, key: str | None) -> bool:
        """Whether this key (None: of a gateway without keys) has not been revoked."""
        return key is None or self._keys is None or self._keys.find(key) is not None


class Door:
    """ASGI middleware: whoever passes is a Caller (`scope["state"]["caller"]`), counted against
    the limits; None where nobody need be. guarded: further paths where somebody must."""

    def __init__(
        self,
        app: ASGIApp,
        authentication: Authentication,
        limits: Limits,
        guarded: tuple[str, ...] = (),
    ) -> None:
        self._app = app
        self._guarded = (*_GUARDED, *guarded)
        self._authentication = authentication
        self._limits = limits

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        with contextlib.ExitStack() as stack:
            try:
                caller = self._let_in(scope)
                if caller is not None and scope["type"] == "websocket":
                    stack.enter_context(self._limits.websockets.one_more(caller.party))
            except ClientError as error:
                await turn_away(error, scope, receive, send)
                return
            scope.setdefault("state", {})["caller"] = caller
            await self._app(scope, receive, send)

    def _let_in(self, scope: AsgiScope) -> Caller | None:
        """Raises ClientError."""
        if not scope["path"].startswith(self._guarded):
            return None  # the page; what a proxy asked for before it is no concern of ours
        _check_query(scope["query_string"])
        host = scope["client"][0] if scope.get("client") else "unknown"
        said = _credentials(Headers(scope=scope)) if self._authentication.on else None
        caller = self._authentication.caller(said, network(host))
        if caller is not None:
            self._limits.request(caller.party)
        elif not _only_asks_how(scope):
            raise missing_credentials()
        return caller


def _only_asks_how(scope: AsgiScope) -> bool:
    """What a WHIP endpoint takes may be asked beforehand, by browsers without credentials."""
    asks = scope["type"] == "http" and scope["method"] in ("OPTIONS", "GET", "HEAD")
    return asks and scope["path"].startswith("/whip/")


def _credentials(headers: Headers) -> str | None:
    """What somebody says to show who they are, None for nothing. Raises ClientError (401) for
    what is no Bearer, or said twice."""
    said = []
    for line in headers.getlist("authorization"):
        kind, _, value = line.partition(" ")
        if kind.lower() != "bearer" or not value.strip():
            raise ClientError(
                "invalid_credentials", "Say it as `Authorization: Bearer lb_…`.", status=401
            )
        said.append(value.strip())
    said += [
        name.removeprefix(SUBPROTOCOL_KEY)
        for name in offered(headers)
        if name.startswith(SUBPROTOCOL_KEY)
    ]
    if len(set(said)) > 1:
        raise ClientError("invalid_credentials", "Send credentials once.", status=401)
    return said[0] if said else None


def _check_query(query: bytes) -> None:
    """Raises ClientError (400) for credentials in a URL, and does not repeat them."""
    for name, value in parse_qsl(query.decode("latin-1")):
        if name.lower() in _IN_URL or value.startswith("lb_"):
            raise ClientError(
                "credentials_in_url",
                "URLs end up in logs and histories: send credentials as a header, "
                "Authorization: Bearer lb_…, or from a browser's websocket as a subprotocol, "
                f"{SUBPROTOCOL_KEY}…, and regard these as known to others.",
            )
