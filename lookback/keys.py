"""`lookback keys`: who may use the gateways. Keys are kept by their hashes, and shown once."""

import sys
import time
from typing import Annotated, NoReturn

import msgspec
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from lookback.flags import KEYS, takes
from lookback.settings import KeysSettings
from server.api_keys import ApiKey, KeysError, editing, read
from server.scopes import SCOPES, Scope

app = typer.Typer(
    help="Make, list, renew and revoke the API keys of the gateways.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Which = Annotated[str, typer.Argument(metavar="NAME_OR_ID")]


def _fail(error: Exception | str) -> NoReturn:
    typer.echo(f"lookback: {error}", err=True)
    raise typer.Exit(1)


def _settings() -> KeysSettings:
    try:
        return KeysSettings()
    except ValidationError as error:
        _fail(f"LOOKBACK_API_KEYS_FILE: {error.errors()[0]['msg']}")


@app.command()
@takes(KEYS)
def create(
    name: Annotated[str, typer.Argument(help="What it is for: robot-1, kiosk …")],
    scopes: Annotated[
        str, typer.Option(help="Some of publish, ask, manage, observe, with commas between.")
    ] = "publish,ask,manage",
) -> None:
    """Make a key and print it: it is shown this once."""
    path = _settings().path
    try:
        with editing(path) as file:
            key = file.create(name, _scopes(scopes))
    except KeysError as error:
        _fail(error)
    _show(key)
    _tell(f"{path} has its hash. Gateways that read it take the key from now on:")
    _tell(f"  LOOKBACK_API_KEYS_FILE={path} lookback serve")


@app.command("list")
@takes(KEYS)
def list_keys(
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """List the keys: names and scopes, no secrets."""
    path = _settings().path
    try:
        keys = read(path).keys
    except KeysError as error:
        _fail(error)
    now = time.time()
    if json:
        told = [
            {
                "id": key.id,
                "name": key.name,
                "scopes": key.scopes,
                "created_at": key.created_at,
                "old_secrets_end_at": _ends(key, now),
            }
            for key in keys
        ]
        print(msgspec.json.encode({"keys": told}).decode())
        return
    table = Table("id", "name", "scopes", "made", "old secret ends", box=None)
    for key in keys:
        ends = _ends(key, now)
        table.add_row(
            key.id,
            key.name,
            ", ".join(key.scopes),
            _date(key.created_at),
            "" if ends is None else _date(ends),
        )
    Console(soft_wrap=True).print(table)


@app.command()
@takes(KEYS)
def rotate(
    name: Which,
    grace_hours: Annotated[
        float,
        typer.Option(min=0, help="How long the old secret stays good; 0: not at all."),
    ] = 24.0,
) -> None:
    """Give a key a new secret and print it. Its sessions and its name stay."""
    path = _settings().path
    try:
        with editing(path) as file:
            key = file.rotate(name, grace_hours * 3600)
    except KeysError as error:
        _fail(error)
    _show(key)
    until = "no more" if not grace_hours else f"for {grace_hours:g} hours more"
    _tell(f"The old secret is good {until}; nothing need be started again.")


@app.command()
@takes(KEYS)
def revoke(name: Which) -> None:
    """Take a key away, with its tokens and its sessions, at once."""
    path = _settings().path
    try:
        with editing(path) as file:
            key = file.revoke(name)
    except KeysError as error:
        _fail(error)
    _tell(f"The key {key.name!r} ({key.id}) is void, and so are its tokens and sessions.")


def _scopes(given: str) -> frozenset[Scope]:
    """Raises KeysError."""
    names = {name.strip() for name in given.split(",") if name.strip()}
    if not names or not names <= SCOPES:
        raise KeysError(
            f"--scopes {given!r}: take some of publish, ask, manage and observe, with commas "
            "between."
        )
    return frozenset(scope for scope in SCOPES if scope in names)


def _show(key: str) -> None:
    """The key alone on stdout, so that a script can take it."""
    print(key, flush=True)
    _tell("This is the key, shown this once: keep it where secrets are kept.")


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _ends(key: ApiKey, now: float) -> float | None:
    ends = [s.expires_at for s in key.secrets if s.expires_at is not None and s.expires_at > now]
    return max(ends, default=None)


def _date(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
