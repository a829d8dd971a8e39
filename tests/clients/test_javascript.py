"""The JavaScript client in Node, against a real gateway."""

import asyncio
import os
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import pytest

from lookback_client import Lookback

from .conftest import picture, shown

ROOT = Path(__file__).parents[2]
TESTS = Path(__file__).parent / "javascript"
SECONDS = 60


@pytest.fixture(scope="session")
def node() -> list[str]:
    """The command for Node with its global WebSocket: version 22 has it, version 20 by a flag."""
    path = shutil.which("node")
    version = (
        subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
        if path
        else "none"
    )
    found = re.match(r"v(\d+)\.(\d+)", version)
    known = (int(found[1]), int(found[2])) if found else (0, 0)
    if path is None or known < (20, 10):
        message = f"Node 20.10 or newer is needed, and there is {version.strip()}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return [path] if known >= (22, 0) else [path, "--experimental-websocket", "--no-warnings"]


def test_the_client_in_node(node: list[str], gateway: str, tmp_path: Path) -> None:
    file = tmp_path / "picture.jpg"
    assert cv2.imwrite(str(file), picture(1))
    ran = subprocess.run(
        [*node, "--test", "--test-reporter=tap", *map(str, sorted(TESTS.glob("*.test.mjs")))],
        env={**os.environ, "LOOKBACK_URL": gateway, "LOOKBACK_PICTURE": str(file)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"^# pass [1-9]", ran.stdout, re.MULTILINE)


async def test_the_example_asks_about_a_session(
    node: list[str], lookback: Lookback, gateway: str
) -> None:
    async with lookback.session() as session:
        await shown(session)
        script = str(ROOT / "examples" / "ask.mjs")
        ran = await asyncio.create_subprocess_exec(
            *node, script, gateway, session.id, "What do you see?",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        said = await asyncio.wait_for(ran.communicate(), SECONDS)
        assert (ran.returncode, said) == (0, (b"What do you see? \n", b""))
