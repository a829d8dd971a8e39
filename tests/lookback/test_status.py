"""`lookback status`: what a gateway says of the service, as tables and as JSON."""

import asyncio
import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lookback.status import StatusError, read, show, watch
from messages.workers import PROTOCOL
from server.api_keys import editing
from server.settings import GatewaySettings
from tests.lookback.conftest import ROOT, command
from tests.server.clients import new_session, sending
from tests.server.conftest import broker_url, serving, worker
from tests.server.peer import PeerWorker

__all__ = ["broker_url", "worker"]  # fixtures


def _run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command("status", *arguments),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )


def _printed(told: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(show(told))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


async def test_it_shows_workers_sessions_memory_and_queue(
    broker_url: str, worker: PeerWorker
) -> None:
    with serving(GatewaySettings(broker_url=broker_url)) as url:
        session = new_session(url)
        async with sending(url, session):
            told = read(url, None)
        for each in ("--once", "--json"):
            done = await asyncio.to_thread(_run, "--url", url, each)
            assert done.returncode == 0, done.stderr
            assert session[:8] in done.stdout and session not in done.stdout
        assert json.loads(done.stdout)["sessions"][0]["id"] == session[:8]
        shown = io.StringIO()
        looks = iter([True, True, False])
        watch(url, None, 0.01, Console(file=shown, width=200), lambda: next(looks))
    text = _printed(told)
    assert worker.card.worker in text and session[:8] in text and session not in text
    assert "broker up · 1 workers · 1 sessions at this gateway · 0 waiting" in text
    assert "watching" in text and "peer" in text and "0.0/0.0 MB" in text
    assert worker.card.worker in shown.getvalue()
    with pytest.raises(StatusError, match="No gateway answers at"):
        read(url, None)


def test_a_key_without_the_scope_is_told_which_it_needs(
    broker_url: str, worker: PeerWorker, tmp_path: Path
) -> None:
    path = tmp_path / "keys.json"
    with editing(path) as file:
        publisher = file.create("robot", frozenset({"publish", "ask", "manage"}))
        operator = file.create("operator", frozenset({"observe"}))
    with serving(GatewaySettings(broker_url=broker_url, api_keys_file=path)) as url:
        for key in (None, publisher):
            with pytest.raises(StatusError, match="--scopes observe"):
                read(url, key)
        assert read(url, operator)["broker"] == "up"
        done = _run("--url", url, "--json", LOOKBACK_API_KEY=operator)
    assert json.loads(done.stdout)["workers"][0]["protocol"] == PROTOCOL, done.stderr


def test_where_no_gateway_is_it_says_what_to_do() -> None:
    done = _run("--url", "http://127.0.0.1:9", "--once")
    assert done.returncode == 1 and done.stdout == ""
    assert "No gateway answers at http://127.0.0.1:9" in done.stderr and "--url" in done.stderr


def test_an_empty_service_is_shown_too() -> None:
    latency = {"answers": 0, "ttft_p50": None, "ttft_p95": None}
    told = {"broker": "away", "queue": 3, "incompatible_workers": 1, "workers": [],
            "sessions": [], "latency": latency}  # fmt: skip
    text = _printed(told)
    assert "broker away" in text and "3 waiting" in text and "1 of another version" in text
    assert "start one (lookback worker)" in text and "No session" in text
