"""docs/settings.md: every setting on one page, made from the classes that read them (`make docs`).

Knows of each part only its settings class.
"""

import types
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, Final, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

import lookback_files
from lookback import flags
from lookback.settings import KeysSettings, ServeSettings
from model_worker.settings import WorkerSettings
from server.access_settings import AccessSettings
from server.settings import GatewaySettings
from server.udp import PortRange

FILE: Final = Path(__file__).parent.parent / "docs" / "settings.md"

READERS: Final[Mapping[str, type[BaseSettings]]] = {
    "gateway": GatewaySettings,
    "worker": WorkerSettings,
    "serve": ServeSettings,
    "keys": KeysSettings,
}
"""Who reads settings, by the command that does."""

_HEAD: Final = """\
# Settings

Written by `make docs` from the code; not to be edited by hand.

A setting is an environment variable. A profile (`--config FILE`) holds `NAME=value` lines: a
variable that is set already wins over it, and a command's flag over both. A value that cannot be
used ends the process with status 78 (`lookback serve`: 2) and a line that names the variable.
*Read by* says for whom it counts: `gateway`, `worker`, `serve` (`lookback serve`, which also hands
all of them on to the gateway and the worker that it starts) and `keys` (`lookback keys`). Where
gateways and workers are several, give all of them the same values. `lookback serve` has defaults of
its own for `LOOKBACK_SNAPSHOTS` (a temporary folder) and `LOOKBACK_DRAIN_SECONDS` (2).
Lists have commas between their members, or are JSON; sizes are in bytes and times in seconds unless
the name says something else.
"""

_COLUMNS: Final = "| setting | type | default | what it does | read by |\n|---|---|---|---|---|\n"

_OTHERS: Final = """\
## Clients

Clients read no variables: what they can be told are the arguments of their functions. The programs
in `examples/` read `LOOKBACK_URL`, `LOOKBACK_API_KEY` and `LOOKBACK_TOKEN` and hand them on.

| Python (`lookback_client.Lookback`) | JavaScript (`clients/js`) | default | what it does |
|---|---|---|---|
| `url` | `base` | `http://127.0.0.1:8400`; in JavaScript it must be given | the gateway |
| `api_key` | `token` | none | an API key or a session's token, where the gateway asks for one |
| `patience` | | 30 | seconds for which a gateway without room, or without a worker, is waited for |
| `reconnect_seconds` | | 60 | for how long a lost connection is sought |
| | `authorize` | none | a function that is asked for another token where the present one is refused |
| `tls` | | the system's | an `ssl.SSLContext` that trusts certificates of one's own |

## docker-compose.yml

| variable | default | what it does |
|---|---|---|
| `LOOKBACK_PUBLISH` | `127.0.0.1` | the host's address at which the gateway's ports are published |
| `LOOKBACK_TURN_REALM` | `lookback` | the realm of coturn (`--profile turn`) |
| `COMPOSE_PROFILES` | | `cpu` or `nvidia`, and `turn`, `metrics` beside it, in place of `--profile` |

`LOOKBACK_PORT`, `LOOKBACK_API_KEYS_FILE`, `LOOKBACK_MEDIA_ADDRESS`, `LOOKBACK_RTSP_HOSTS`,
`LOOKBACK_TURN_URLS`, `LOOKBACK_TURN_SECRET`, `LOOKBACK_MAX_SESSIONS` and, with `--profile nvidia`,
`LOOKBACK_MODEL` are handed on to the parts; all others are set in the file.

## Variables of libraries

| variable | read by | what it does |
|---|---|---|
| `HF_HOME`, `HF_HUB_OFFLINE`, `HF_TOKEN` | worker | where checkpoints of the hub are kept, whether it is asked at all, and as whom |
| `CUDA_VISIBLE_DEVICES` | worker | the GPUs that it may see |
| `OTEL_*` | gateway, worker | the rest of what OpenTelemetry can be told, where traces are on |
| `XDG_CONFIG_HOME` | keys | where `lookback/keys.json` is kept, `~/.config` by default |
"""  # noqa: E501


def page() -> str:
    """The whole of docs/settings.md."""
    parts = [_HEAD]
    for title, names in _sections().items():
        if names:
            rows = "".join(f"{_row(name)}\n" for name in names)
            parts.append(f"## {title}\n\n{_COLUMNS}{rows}")
    return "\n".join([*parts, _OTHERS])


def undescribed() -> list[str]:
    """Settings that no reader's class has words for."""
    return [name for name in _all() if not _described(name)]


def _all() -> list[str]:
    return [*dict.fromkeys(name for reader in READERS.values() for name in reader.model_fields)]


def _sections() -> dict[str, list[str]]:
    gateway, worker = GatewaySettings.model_fields, WorkerSettings.model_fields
    access = AccessSettings.model_fields
    both = [name for name in gateway if name in worker]
    return {
        "Gateway and worker": both,
        "Gateway: who may use it, and how much": [n for n in access if n not in both],
        "Gateway: cameras, questions, sessions": [
            name for name in gateway if name not in both and name not in access
        ],
        "Worker": [name for name in worker if name not in both],
        "The rest": [name for name in _all() if name not in gateway and name not in worker],
    }


def _row(name: str) -> str:
    readers = [who for who, reader in READERS.items() if name in reader.model_fields]
    field = READERS[readers[0]].model_fields[name]
    flag = _flag(name)
    cells = (
        f"`LOOKBACK_{name.upper()}`" + (f"<br>`{flag}`" if flag else ""),
        kind(field.annotation, field.metadata),
        shown(field),
        _described(name),
        ", ".join(readers),
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _described(name: str) -> str:
    """By the first reader that has words for it."""
    for reader in READERS.values():
        field = reader.model_fields.get(name)
        if field is not None and field.description:
            return " ".join(field.description.split())
    return ""


def _flag(name: str) -> str | None:
    for group in (flags.BROKER, flags.LISTEN, flags.MODEL):
        if name in group:
            option = get_args(group[name])[1]
            named = (option.default, *(option.param_decls or ()))
            own = [each for each in named if isinstance(each, str) and each.startswith("--")]
            return own[0] if own else f"--{name.replace('_', '-')}"
    return None


def kind(annotation: Any, metadata: list[Any]) -> str:
    """A type in words, with its bounds."""
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [each for each in get_args(annotation) if each is not type(None)]
        return " or ".join(kind(each, metadata) for each in inner)
    if hasattr(annotation, "__metadata__"):
        return kind(annotation.__origin__, [*metadata, *annotation.__metadata__])
    if get_origin(annotation) is Literal:
        return " | ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) is tuple:
        member = get_args(annotation)[0]
        return "JSON list" if hasattr(member, "model_fields") else "list"
    names = {
        bool: "`1` or `0`",
        int: "whole number",
        float: "number",
        str: "text",
        Path: "path",
        SecretStr: "secret",
        PortRange: "`FIRST-LAST`",
    }
    return names[annotation] + _bounds(metadata)


def _bounds(metadata: list[Any]) -> str:
    words = []
    for each in metadata:
        for bound, sign in (
            (annotated_types.Ge, "≥"),
            (annotated_types.Gt, ">"),
            (annotated_types.Le, "≤"),
            (annotated_types.Lt, "<"),
        ):
            if isinstance(each, bound):
                words.append(f"{sign} {getattr(each, bound.__name__.lower())}")
    return f" {', '.join(words)}" if words else ""


def shown(field: FieldInfo) -> str:
    """A default; those that depend on the machine in words."""
    if field.default_factory is not None:
        return "of the machine and the process"
    default = field.default
    if isinstance(default, str) and default.startswith(str(lookback_files.ROOT)):
        default = Path(default)
    if isinstance(default, PurePath):
        return f"`{default.name}`, as shipped"
    if default is None or default == ():
        return "none"
    return f"`{int(default) if isinstance(default, bool) else default}`"


if __name__ == "__main__":
    FILE.write_text(page())
