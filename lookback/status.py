"""`lookback status`: workers, sessions, memory, latency and queue, as a gateway knows them."""

import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

_TIMEOUT_SECONDS: Final = 5.0
_LOCAL: Final = ("127.0.0.1", "localhost", "::1")
_MOST_SESSIONS: Final = 40


class StatusError(RuntimeError):
    """There is nothing to be shown; the message says what to change."""


def read(url: str, key: str | None) -> dict[str, Any]:
    """What the gateway at this address says of the service. Raises StatusError."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    verify = urlsplit(url).hostname not in _LOCAL  # one's own certificate is often self-signed
    try:
        with httpx.Client(
            verify=verify, trust_env=False, timeout=_TIMEOUT_SECONDS, headers=headers
        ) as client:
            reply = client.get(f"{url.rstrip('/')}/v1/status")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise StatusError(
            f"No gateway answers at {url} ({error}). Start one (lookback serve), or say with --url "
            "where it is."
        ) from error
    if reply.status_code in (401, 403):
        raise StatusError(
            f"The gateway at {url} wants a key with the scope 'observe' (lookback keys create "
            "NAME --scopes observe): give it as LOOKBACK_API_KEY."
        )
    try:
        told = reply.json()
    except ValueError:
        told = None
    if reply.status_code != 200 or not isinstance(told, dict) or "workers" not in told:
        why = told["error"]["message"] if isinstance(told, dict) and "error" in told else ""
        raise StatusError(
            f"{url} is no Lookback gateway that tells its state (HTTP {reply.status_code}) {why}"
        )
    return told


def show(told: dict[str, Any]) -> RenderableType:
    """As tables."""
    return Group(_summary(told), _workers(told["workers"]), _sessions(told["sessions"]))


def watch(
    url: str,
    key: str | None,
    every: float,
    console: Console,
    going: Callable[[], bool] = lambda: True,
) -> None:
    """Shows it again and again until Ctrl-C. A gateway that goes away later is waited for. Raises
    StatusError where there was none to begin with."""
    told = read(url, key)
    with Live(show(told), console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while going():
            live.update(show(told), refresh=True)
            time.sleep(every)
            try:
                told = read(url, key)
            except StatusError as error:
                live.update(Group(Text(str(error), style="red"), show(told)), refresh=True)
                time.sleep(every)


def _summary(told: dict[str, Any]) -> Text:
    latency = told["latency"]
    away = told["broker"] != "up"
    line = Text()
    line.append(f"broker {told['broker']}", "red" if away else "green")
    line.append(f" · {len(told['workers'])} workers")
    if told["incompatible_workers"]:
        line.append(f" · {told['incompatible_workers']} of another version", "red")
    line.append(f" · {len(told['sessions'])} sessions at this gateway")
    line.append(f" · {told['queue']} waiting", "yellow" if told["queue"] else "")
    if latency["answers"]:
        line.append(
            f" · first token {_seconds(latency['ttft_p50'])} median, "
            f"{_seconds(latency['ttft_p95'])} p95 of {latency['answers']} answers"
        )
    return line


def _workers(workers: list[dict[str, Any]]) -> RenderableType:
    if not workers:
        return Text("No worker: start one (lookback worker), or wait for it.", "yellow")
    table = Table(
        "worker", "model", "device", "sessions", "memory", "frames/s", "frame age", "answers",
        "first token", "state", box=None, pad_edge=False,
    )  # fmt: skip
    for card in workers:
        waiting = f" +{card['answers_waiting']}" if card["answers_waiting"] else ""
        table.add_row(
            card["worker"],
            card["model"],
            card["device"],
            f"{card['sessions']}/{card['max_sessions']}",
            _share(card["kv_bytes_used"], card["kv_bytes"]),
            f"{card['frames_per_second']:.1f}",
            _seconds(card["frame_age_seconds"]),
            f"{card['answers_running']}{waiting}",
            _seconds(card["ttft_seconds"]),
            Text("stopping", "yellow") if card["draining"] else Text("ready", "green"),
        )
    return table


def _sessions(sessions: list[dict[str, Any]]) -> RenderableType:
    if not sessions:
        return Text("No session at this gateway.")
    table = Table(
        "session", "state", "camera", "memory", "tokens", "sent", "dropped", "clients", "asking",
        "worker", box=None, pad_edge=False,
    )  # fmt: skip
    for session in sessions[:_MOST_SESSIONS]:
        colour = {"watching": "green", "moving": "red"}.get(session["state"], "")
        camera = f"{session['camera']} {session['camera_state']}" if session["camera"] else "none"
        waiting = session["questions_waiting"]
        table.add_row(
            session["id"],
            Text(session["state"], colour),
            camera,
            f"{session['kv_bytes'] / 1e6:.1f} MB",
            f"{session['tokens']}/{session['cap_tokens']}",
            str(session["frames_sent"]),
            str(session["frames_dropped"]),
            str(session["websockets"]),
            f"yes +{waiting}" if waiting else "yes" if session["answering"] else "",
            session["worker"],
        )
    more = len(sessions) - _MOST_SESSIONS
    return Group(table, Text(f"and {more} more")) if more > 0 else table


def _share(used: int, total: int) -> str:
    share = f" ({used / total:.0%})" if total else ""
    return f"{used / 1e6:.1f}/{total / 1e6:.1f} MB{share}"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
