"""The wheel is whole: installed away from the checkout, it serves and answers."""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from broker.embedded import dies_with
from lookback_client import Lookback
from tests.lookback.conftest import ROOT

with (ROOT / "pyproject.toml").open("rb") as file:
    _SETUPTOOLS = tomllib.load(file)["tool"]["setuptools"]
PARTS = sorted({name.split(".")[0] for name in _SETUPTOOLS["packages"]} - {"lookback_client"})
BESIDE = sorted({folder.split("/")[0] for folder in _SETUPTOOLS["package-dir"].values()})
FILES = ["pyproject.toml", "README.md", "LICENSE", "NOTICE"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """From a copy: a build leaves its traces beside the source."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in PARTS + BESIDE:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, source)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(built)]
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", *options, str(source))
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and, seen through a .pth line, which leads to no other such
    lines, what it depends on; its folder of programs."""
    folder = tmp_path_factory.mktemp("environment")
    _run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    python = folder / "bin" / "python"
    options = ["--no-deps", "--no-index", "--no-compile", "--quiet"]
    _run(sys.executable, "-m", "pip", "--python", str(python), "install", *options, str(wheel))
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


@pytest.fixture(scope="module")
def service(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("elsewhere")
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [str(installed / "lookback"), "serve", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            cwd=folder,
            env=_environment(),
            preexec_fn=dies_with(os.getpid()),
        )
    try:
        assert process.stdout is not None
        found = re.search(r"https?://\S+", process.stdout.readline())
        assert found, (folder / "said").read_text()
        yield found[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def test_the_wheel_has_every_file_and_no_other(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("client_web", "clients/js", "configs", "models/lookback-mini", "samples"):
        for path in (ROOT / folder).iterdir():
            assert f"lookback_files/{folder}/{path.name}" in names
    for part in PARTS:
        for path in (ROOT / part).rglob("*.py"):
            assert str(path.relative_to(ROOT)) in names
    assert not [name for name in names if "tests/" in name or "__pycache__" in name]
    assert wheel.stat().st_size < 25e6


def test_its_own_files_are_used(installed: Path) -> None:
    code = "import lookback_files, server; print(lookback_files.ROOT, server.__file__)"
    said = _run(str(installed / "python"), "-c", code)
    assert all(path.startswith(str(installed.parent)) for path in said.split())


def test_the_page_and_what_it_needs_are_served(service: str) -> None:
    with httpx.Client(base_url=service) as client:
        for path, kind in (
            ("/", "text/html"),
            ("/static/main.js", "text/javascript"),
            ("/clients/js/index.js", "text/javascript"),
            ("/sample.mp4", "video/mp4"),
            ("/openapi.json", "application/json"),
        ):
            reply = client.get(path)
            assert (reply.status_code, reply.headers["content-type"].split(";")[0]) == (200, kind)


async def test_it_answers(service: str) -> None:
    async with Lookback(service) as lookback, lookback.session() as session:
        pictures = (np.full((96, 96, 3), grey, np.uint8) for grey in range(0, 250, 25))
        camera = await session.publish(pictures, per_second=50)
        await camera.wait()
        assert (await session.ask("What is it now?")).text


def test_a_profile_that_is_not_there_says_where_some_are(installed: Path, tmp_path: Path) -> None:
    said = subprocess.run(
        [str(installed / "lookback"), "serve", "--config", "mine.env"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=_environment(),
    )
    found = re.search(r"There is no profile mine\.env\. (\S+) has some", said.stderr)
    assert said.returncode == 2 and found, said.stderr
    assert (Path(found[1]) / "gpu-24gb.env").is_file()


def _environment() -> dict[str, str]:
    """Nothing that leads to the checkout."""
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", env=_environment())
    assert done.returncode == 0, done.stderr
    return done.stdout
