"""How a command ends that cannot do what it was asked to."""

import re
from typing import Final, NoReturn

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

UNREADABLE: Final = (ValidationError, SettingsError)
"""What settings raise."""
SECRETS: Final = ("broker_url", "ice_servers", "token_secret", "turn_secret")


def fail(message: str, status: int = 1) -> NoReturn:
    """Say why on stderr, and end."""
    typer.echo(f"lookback: {message}", err=True)
    raise typer.Exit(status)


def said(error: ValidationError | SettingsError) -> str:
    """Which settings cannot be used, and why; what may be secret is not shown."""
    if isinstance(error, SettingsError):
        # It is about a value that should be JSON; what else it knows may be secret.
        named = re.search(r'field "(\w+)"', str(error))
        return f"LOOKBACK_{named[1].upper() if named else '*'} is no JSON."
    lines = []
    for fault in error.errors():
        name = f"LOOKBACK_{'_'.join(map(str, fault['loc'])).upper()}"
        shown = "" if fault["loc"][:1] and fault["loc"][0] in SECRETS else f"={fault['input']!r}"
        lines.append(f"{name}{shown}: {fault['msg']}")
    return "a setting cannot be used. " + "; ".join(lines)
