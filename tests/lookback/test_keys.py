"""`lookback keys`, and the whole service behind keys and TLS."""

import json
import os
import ssl
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from server.access import SUBPROTOCOL_KEY
from server.api_keys import read
from tests.lookback.conftest import ROOT, Serving, command, eventually, serving
from tests.server.programs import certificate


def run(*arguments: object, **variables: str) -> "subprocess.CompletedProcess[str]":
    """In its own process: what is on stdout alone matters."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, cwd=ROOT,
        env=os.environ | variables,
    )  # fmt: skip


def create(path: Path, *arguments: str) -> str:
    done = run("keys", "create", *arguments, "--file", path)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_key_is_made_listed_renewed_and_revoked(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    made = run("keys", "create", "robot-1", "--scopes", "publish,ask", "--file", path)
    key = made.stdout.strip()
    assert made.returncode == 0 and key.startswith("lb_") and "\n" not in key
    assert key not in made.stderr and f"LOOKBACK_API_KEYS_FILE={path}" in made.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    named = {"LOOKBACK_API_KEYS_FILE": str(path)}
    listed = run("keys", "list", **named)
    assert "robot-1" in listed.stdout and "ask, publish" in listed.stdout
    renewed = run("keys", "rotate", "robot-1", "--grace-hours", "2", **named).stdout.strip()
    assert renewed[:12] == key[:12] and renewed != key
    (told,) = json.loads(run("keys", "list", "--json", **named).stdout)["keys"]
    assert (told["id"], told["name"], told["scopes"]) == (key[3:11], "robot-1", ["ask", "publish"])
    assert told["old_secrets_end_at"] - told["created_at"] == pytest.approx(7200, abs=30)
    revoked = run("keys", "revoke", told["id"], **named)
    assert revoked.returncode == 0 and "robot-1" in revoked.stderr
    assert json.loads(run("keys", "list", "--json", **named).stdout) == {"keys": []}
    shown = path.read_text() + listed.stdout + listed.stderr + revoked.stderr
    assert key[12:] not in shown and renewed[12:] not in shown


def test_keys_have_a_place_of_their_own(tmp_path: Path) -> None:
    without = {"LOOKBACK_API_KEYS_FILE": "", "XDG_CONFIG_HOME": str(tmp_path)}
    environment = {k: v for k, v in (os.environ | without).items() if v}
    done = subprocess.run(
        command("keys", "create", "me"), capture_output=True, check=False, env=environment, cwd=ROOT
    )
    assert done.returncode == 0 and len(read(tmp_path / "lookback" / "keys.json").keys) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", "a/b"], "no name"),
        (["create", "x", "--scopes", "all"], "publish, ask, manage and observe"),
        (["create", "x", "--scopes", ""], "publish, ask, manage and observe"),
        (["revoke", "nobody"], "no key 'nobody'"),
        (["rotate", "nobody"], "no key 'nobody'"),
        (["list"], "lookback keys create"),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = run("keys", *arguments, "--file", tmp_path / "keys.json")
    assert done.returncode == 1 and done.stdout == ""
    assert words in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("part", ["serve", "gateway"])
def test_it_does_not_listen_beyond_this_machine_without_keys(part: str) -> None:
    done = run(part, "--host", "0.0.0.0", "--port", 0)
    assert done.returncode == 78 and done.stderr.count("\n") == 1
    for way in ("LOOKBACK_API_KEYS_FILE", "LOOKBACK_INSECURE=1", "lookback keys create"):
        assert way in done.stderr


@pytest.mark.parametrize("part", ["serve", "gateway"])
@pytest.mark.parametrize("broken", [None, "{"])
def test_keys_that_cannot_be_read_are_one_line(
    part: str, broken: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "keys.json"
    if broken is not None:
        path.write_text(broken)
    done = run(part, "--port", 0, "--api-keys-file", path)
    assert done.returncode == 78 and done.stderr.count("\n") == 1 and str(path) in done.stderr


class Guarded:
    """A service with keys and TLS, open to other machines, at its most talkative."""

    def __init__(self, service: Serving, path: Path, key: str, cert: str) -> None:
        self.service = service
        self.path = path
        self.key = key
        self.url = service.url
        self.tls = ssl.create_default_context(cafile=cert)

    def http(self, credentials: str | None = None) -> httpx.Client:
        headers = {} if credentials is None else {"Authorization": f"Bearer {credentials}"}
        return httpx.Client(base_url=self.url, headers=headers, verify=self.tls, trust_env=False)

    def socket(self, path: str, **options: Any) -> connect:
        address = self.url.replace("https", "wss") + path
        return connect(address, ssl=self.tls, proxy=None, **options)


@pytest.fixture(scope="module")
def guarded(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    path = folder / "keys.json"
    key = create(path, "me")
    files = certificate(folder)
    settings = {
        "LOOKBACK_API_KEYS_FILE": str(path),
        "LOOKBACK_LOG_LEVEL": "debug",
        "LOOKBACK_SSL_CERTFILE": files["cert_file"],
        "LOOKBACK_SSL_KEYFILE": files["key_file"],
    }
    with pytest.MonkeyPatch.context() as patched:
        for name, value in settings.items():
            patched.setenv(name, value)
        with serving(model, folder, "--host", "0.0.0.0") as service:
            yield Guarded(service, path, key, files["cert_file"])


async def test_requests_and_websockets_by_tls(guarded: Guarded) -> None:
    with guarded.http(guarded.key) as http:
        made = http.post("/v1/sessions")
        assert made.status_code == 201, made.text
        session = made.json()["id"]
        reply = http.post(f"/v1/sessions/{session}/tokens", json={"scopes": ["ask"]})
        token = reply.json()["token"]
    for protocols in ([SUBPROTOCOL_KEY + token, "realtime"], ["realtime"]):
        said = {"Authorization": f"Bearer {token}"} if len(protocols) == 1 else {}
        talk = f"/v1/realtime?session={session}"
        async with guarded.socket(talk, subprotocols=protocols, additional_headers=said) as socket:
            assert json.loads(await socket.recv())["type"] == "session.created"


def test_nothing_goes_by_without_tls(guarded: Guarded) -> None:
    with pytest.raises(httpx.ConnectError, match="certificate"):  # of nobody that is known
        httpx.get(f"{guarded.url}/health", trust_env=False)
    with pytest.raises(httpx.TransportError):
        httpx.get(guarded.url.replace("https", "http"), trust_env=False)


async def test_no_secret_is_in_the_logs(guarded: Guarded) -> None:
    with guarded.http(guarded.key) as http:
        session = http.post("/v1/sessions").json()["id"]
        token = http.post(f"/v1/sessions/{session}/tokens").json()["token"]
        assert http.post(f"/whip/{session}", content="v=0").status_code == 415
        assert http.get("/v1/models", params={"api_key": guarded.key}).status_code == 400
        assert http.post("/v1/sessions", content=b"{").status_code == 422
        assert http.post(f"/v1/sessions/{session}/offer", json={"sdp": "?"}).status_code == 422
    wrong = guarded.key[:-4] + "WXYZ"
    for credentials in (wrong, token[:-4] + "WXYZ", "lb_" + guarded.key):
        with guarded.http(credentials) as http:
            assert http.get("/v1/models").status_code == 401
    for path in (f"/v1/realtime?session={session}", f"/v1/sessions/{session}/frames"):
        for credentials in (guarded.key, token):
            said = {"Authorization": f"Bearer {credentials}"}
            async with guarded.socket(path, additional_headers=said) as socket:
                await socket.recv()
                await socket.send("nonsense")
                await socket.recv()
            protocols = ["realtime", SUBPROTOCOL_KEY + credentials]
            async with guarded.socket(path, subprotocols=protocols) as socket:
                await socket.recv()
        with pytest.raises(InvalidStatus):
            await guarded.socket(path, additional_headers={"Authorization": f"Bearer {wrong}"})
        with pytest.raises(InvalidStatus):
            await guarded.socket(f"{path}&token={token}".replace("frames&", "frames?"))
    with guarded.http(guarded.key) as http:
        assert http.delete(f"/v1/sessions/{session}").status_code == 204
    said = eventually(lambda: _after(guarded, f"session {session[:8]} closed"), "line in the log")
    signing = read(guarded.path).signing_secret
    for secret in (guarded.key, guarded.key[12:], token, token.split(".")[2], signing, wrong[12:]):
        assert secret not in said
    assert session not in said and session[9:] not in said


def _after(guarded: Guarded, line: str) -> str:
    """All that was logged, once this line is there."""
    said = guarded.service.said
    return said if line in said else ""


async def test_keys_change_while_it_runs(guarded: Guarded) -> None:
    other = create(guarded.path, "other")
    with guarded.http(other) as http:
        session = http.post("/v1/sessions").json()["id"]
    good = guarded.path.read_bytes()
    guarded.path.write_bytes(b"{")
    for key in (guarded.key, other):
        with guarded.http(key) as http:
            assert http.get("/v1/models").status_code == 200
    assert "go on to hold" in guarded.service.said
    guarded.path.write_bytes(good)
    said = {"Authorization": f"Bearer {other}"}
    talk = f"/v1/realtime?session={session}"
    async with guarded.socket(talk, additional_headers=said) as socket:
        assert run("keys", "revoke", "other", "--file", guarded.path).returncode == 0
        with guarded.http(other) as http:
            assert http.get("/v1/models").status_code == 401
        reasons = [json.loads(event).get("reason") async for event in socket]
    assert reasons[-1] == "key_revoked"
