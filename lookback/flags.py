"""Command-line flags that are settings: given once here, taken by every command that needs them.

A flag becomes its `LOOKBACK_*` variable, which the parts of the service read and pass on.
"""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from lookback.settings import apply_flags, apply_profile

Flags = dict[str, Any]
"""The type of each flag by the name of its setting."""

_PROFILE = Annotated[
    Path | None, typer.Option("--config", help="A profile: LOOKBACK_NAME=value lines.")
]

BROKER: Flags = {
    "broker_url": Annotated[
        str | None, typer.Option(help="redis://host:6379, rediss://… or unix:///path.")
    ],
}
LISTEN: Flags = {
    "host": Annotated[str | None, typer.Option(help="The address to listen on.")],
    "port": Annotated[int | None, typer.Option(help="The port to listen on; 0 takes a free one.")],
    "api_keys_file": Annotated[
        Path | None,
        typer.Option(help="Let in by these API keys only (`lookback keys`)."),
    ],
}
KEYS: Flags = {
    "api_keys_file": Annotated[
        Path | None, typer.Option("--file", help="Where the keys are kept.")
    ],
}
MODEL: Flags = {
    "model": Annotated[
        str | None, typer.Option(help="Hub id or folder of a checkpoint; lookback-mini by default.")
    ],
    "revision": Annotated[
        str | None, typer.Option(help="Branch, tag or commit of a hub id; main by default.")
    ],
    "device": Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 …")],
    "dtype": Annotated[str | None, typer.Option(help="auto, float32, bfloat16 or float16.")],
    "attention": Annotated[
        str | None,
        typer.Option(help="Of the vision tower: auto, sdpa, eager or flash_attention_2."),
    ],
    "quantization": Annotated[
        str | None, typer.Option(help="Of the decoder's weights: none, int8 or int4.")
    ],
    "budget_tokens": Annotated[
        int | None,
        typer.Option("--budget", help="Visual tokens that a session's memory keeps."),
    ],
    "policy": Annotated[
        str | None,
        typer.Option(help="How memory is compressed: infinipot_v, tar … (docs/policies.md)."),
    ],
}


def takes(*groups: Flags) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a command take `--config` and these flags beside its own parameters.

    The command is called with its own parameters, once profile and flags are set. A profile that
    cannot be used ends it with status 2.
    """
    flags = {name: kind for group in groups for name, kind in group.items()}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def with_flags(*, config: Path | None, **given: Any) -> None:
            _apply(config, {name: given.pop(name) for name in flags})
            command(**given)

        added = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
            )
            for name, annotation in {"config": _PROFILE, **flags}.items()
        ]
        signature = inspect.signature(command)
        parameters = [*signature.parameters.values(), *added]
        with_flags.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        with_flags.__annotations__ = {each.name: each.annotation for each in parameters}
        return with_flags

    return decorate


def _apply(profile: Path | None, flags: dict[str, object]) -> None:
    try:
        if profile is not None:
            apply_profile(profile)
    except (FileNotFoundError, ValueError) as error:
        typer.echo(f"lookback: {error}", err=True)
        raise typer.Exit(2) from error
    apply_flags(**flags)
