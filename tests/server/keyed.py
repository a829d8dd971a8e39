"""A gateway that lets in by API keys, and the keys themselves."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from server.api_keys import editing
from server.scopes import SCOPES, Scope
from server.settings import GatewaySettings
from tests.server.conftest import serving
from tests.server.peer import PeerWorker


def made(path: Path, name: str, *scopes: Scope) -> str:
    """A new key of the file; without scopes it has all."""
    with editing(path) as file:
        return file.create(name, frozenset(scopes or SCOPES))


def bearer(credentials: str) -> dict[str, str]:
    """The header."""
    return {"Authorization": f"Bearer {credentials}"}


class Keyed:
    """url, and the keys: `all` may do everything, `other` too, but is another's; the rest may do
    what they are called after."""

    def __init__(self, url: str, path: Path, keys: dict[str, str]) -> None:
        self.url = url
        self.path = path
        self.keys = keys

    def http(self, name: str = "all") -> httpx.Client:
        """A client that says one of the keys, or these credentials."""
        return httpx.Client(base_url=self.url, headers=bearer(self.keys.get(name, name)))

    def session(self, name: str = "all") -> str:
        """A new session of this key's."""
        with self.http(name) as http:
            reply = http.post("/v1/sessions")
        assert reply.status_code == 201, reply.text
        identity: str = reply.json()["id"]
        return identity

    def token(self, session: str, **wanted: Any) -> str:
        """A token for it."""
        with self.http() as http:
            reply = http.post(f"/v1/sessions/{session}/tokens", json=wanted)
        assert reply.status_code == 201, reply.text
        token: str = reply.json()["token"]
        return token


@contextlib.contextmanager
def keyed(broker_url: str, folder: Path, **settings: Any) -> Iterator[Keyed]:
    """A gateway with keys, and a worker for it."""
    path = folder / "keys.json"
    keys = {"all": made(path, "all"), "other": made(path, "other")}
    scopes: tuple[Scope, ...] = ("publish", "ask", "manage")
    keys |= {scope: made(path, scope, scope) for scope in scopes}
    wanted = GatewaySettings(**{"broker_url": broker_url, "api_keys_file": path} | settings)
    # Of its own name: a worker of one test that says farewell takes its name's card with it.
    with PeerWorker(broker_url, "peer-keyed"), serving(wanted) as url:
        yield Keyed(url, path, keys)
