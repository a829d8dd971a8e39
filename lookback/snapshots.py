"""`lookback session`: sessions as files. Looking into one needs no model and no torch."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NoReturn, cast, get_args

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from model_worker.memory.container import ChunkReader, SnapshotError
from model_worker.snapshot_header import Header, Option, decode

app = typer.Typer(
    help="Sessions as files.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_PIECE = 1 << 20  # bytes read at once

_Url = Annotated[
    str,
    typer.Option(
        envvar="LOOKBACK_URL", help="The gateway; an API key is taken from LOOKBACK_API_KEY."
    ),
]


@app.command("export")
def take(
    session: Annotated[str, typer.Argument(help="The session's id.", metavar="SESSION")],
    file: Annotated[Path, typer.Argument(help="Where to write it.", metavar="FILE")],
    url: _Url = "http://127.0.0.1:8400",
    option: Annotated[
        str, typer.Option(help="exact; or smaller and not quite: 8-bit, entropy.")
    ] = "exact",
    force: Annotated[bool, typer.Option("--force", help="Also over a file that is there.")] = False,
) -> None:
    """Write a running session's memory to a file; the session goes on."""
    known = get_args(Option)
    if option not in known:
        _fail(f"--option {option}: there are {', '.join(known)}")
    if file.exists() and not force:
        _fail(f"{file} is there already: choose another name, or --force")

    from lookback.transfer import TransferError
    from lookback.transfer import take as taken

    try:
        size = taken(url, session, file, cast(Option, option))
    except TransferError as error:
        _fail(str(error))
    typer.echo(f"{size / 1e6:.2f} MB written to {file}", err=True)


@app.command("import")
def bring(
    file: Annotated[Path, typer.Argument(help="A snapshot.", metavar="FILE")],
    url: _Url = "http://127.0.0.1:8400",
) -> None:
    """Begin a session with the memory in a file, and print its id."""

    from lookback.transfer import TransferError
    from lookback.transfer import bring as brought

    try:
        print(brought(url, file))
    except TransferError as error:
        _fail(str(error))
    typer.echo("It is closed if nobody joins it within a minute.", err=True)


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="A snapshot.", metavar="FILE")],
    turns: Annotated[bool, typer.Option("--turns", help="The conversation, too.")] = False,
    json_wanted: Annotated[
        bool, typer.Option("--json", help="The whole header as one JSON object on stdout.")
    ] = False,
) -> None:
    """Say what a snapshot holds, once every checksum in it was found right."""
    try:
        header, size = examine(file)
    except SnapshotError as error:
        _fail(f"{file}: {error}")
    except OSError as error:
        _fail(f"{file} cannot be read: {error.strerror}")
    if json_wanted:
        print(json.dumps({"bytes": size, **msgspec.to_builtins(header)}, indent=2))
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in _described(header, size):
        table.add_row(_shown(name), _shown(value))
    console = Console(file=sys.stdout)
    console.print(table)
    if turns:
        for turn in header.conversation.turns:
            console.print(f"\n[bold]{_shown(turn.question)}[/bold]\n{_shown(turn.answer)}")


def examine(file: Path) -> tuple[Header, int]:
    """A snapshot's header and its size in bytes, after its whole was read for the checksums.

    Raises SnapshotError and OSError.
    """
    with file.open("rb") as opened:
        pieces: Iterator[bytes] = iter(lambda: opened.read(_PIECE), b"")
        reader = ChunkReader(pieces)
        header = decode(reader.header)
        reader.skim()
    return header, reader.size


def _described(header: Header, size: int) -> Iterator[tuple[str, str]]:
    model, memory, said = header.model, header.memory, header.conversation
    policy, timeline, seen = header.policy, header.timeline, header.watching
    yield "model", f"{model.name} ({model.family}), weights {model.weights[:12]}"
    yield "option", f"{header.option}, of {header.dtype}"
    yield (
        "size",
        f"{size / 1e6:.2f} MB for {header.raw_bytes / 1e6:.2f} MB of keys and values in memory",
    )
    yield "policy", f"{policy.name}, positions {timeline.mode}"
    yield (
        "memory",
        f"{memory.tokens} tokens of a budget of {header.shape.budget} and a block of "
        f"{header.shape.block}; {_compressed(memory.compressions)}",
    )
    if header.span is None:
        yield "seen", "nothing yet"
    else:
        start, end = header.span
        waiting = f", {len(seen.pending)} waiting for a pair" if seen.pending else ""
        yield (
            "seen",
            f"{seen.frames} frames{waiting}; remembered from {_clock(start)} to {_clock(end)} of "
            "the stream",
        )
    yield "conversation", f"{len(said.turns)} of {said.turns_in_all} turns kept"
    if said.instructions:
        yield "instructions", said.instructions
    for name, note in header.notes.items():
        yield name, str(note)


def _compressed(count: int) -> str:
    if count == 0:
        return "never compressed yet"
    return "compressed once" if count == 1 else f"compressed {count} times"


def _clock(seconds: float) -> str:
    whole = int(abs(seconds))
    sign = "-" if seconds < 0 else ""
    return f"{sign}{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _shown(text: str) -> str:
    """Text of a file that anybody may have written, without what a terminal would obey."""
    return escape("".join(c if c.isprintable() or c == "\n" else "�" for c in text))


def _fail(message: str) -> NoReturn:
    typer.echo(f"lookback: {message}", err=True)
    raise typer.Exit(1)
