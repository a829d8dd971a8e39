"""What the images install is pinned, fits what is asked for, and is enough for each part."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.conftest import ROOT

FOLDER = ROOT / "requirements"
LOCKS = ("all", "build", "gateway", "worker", "worker-cpu")
BLOCKED = """
import importlib.abc, sys
absent = set(sys.argv[1].split(","))
class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
"""


def locked(name: str) -> dict[str, set[str]]:
    """Versions by package; there may be several, for several versions of Python."""
    found: dict[str, set[str]] = {}
    for line in (FOLDER / f"{name}.txt").read_text().splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)", line):
            found.setdefault(canonicalize_name(match[1]), set()).add(match[2])
    return found


def asked() -> list[Requirement]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["tracing"]]
    return [Requirement(line) for line in lines]


def wanted(name: str) -> set[str]:
    """What a `.in` file names itself."""
    lines = (FOLDER / f"{name}.in").read_text().splitlines()
    return {canonicalize_name(Requirement(line).name) for line in lines if line[:1].isalpha()}


def test_the_lock_fits_what_is_asked_for() -> None:
    lock = locked("all")
    for requirement in asked():
        versions = lock.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement.name} is not pinned: run `make lock`"
        for version in versions:
            assert requirement.specifier.contains(version), f"{requirement}: run `make lock`"


@pytest.mark.parametrize("name", LOCKS)
def test_every_file_has_a_hash_and_one_version_for_all(name: str) -> None:
    text = (FOLDER / f"{name}.txt").read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert entries and all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    everything = locked("all")
    for package, versions in locked(name).items():
        assert versions <= everything[package], package


def test_parts_ask_for_nothing_else() -> None:
    known = {canonicalize_name(requirement.name) for requirement in asked()}
    assert wanted("gateway") | wanted("worker") <= known
    assert wanted("gateway") <= set(locked("gateway"))
    assert wanted("worker") <= set(locked("worker"))
    torch = {"torch", "transformers", "triton"}
    assert not torch & set(locked("gateway"))
    assert not [name for name in locked("gateway") if name.startswith("nvidia-")]


def in_the_gateways_image(code: str) -> subprocess.CompletedProcess[str]:
    """All that this environment has beside the gateway's packages is hidden from the code."""
    lock = {*locked("gateway"), "lookback"}
    absent = {
        module
        for module, distributions in packages_distributions().items()
        if not {canonicalize_name(each) for each in distributions} & lock
        and module not in sys.stdlib_module_names
        and module.isidentifier()
    }
    assert {"pytest", "torch", "transformers", "httpx"} <= absent
    command = [sys.executable, "-c", BLOCKED + code, ",".join(sorted(absent))]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_the_gateways_are_enough() -> None:
    done = in_the_gateways_image(
        "import lookback.cli\nfrom server.app import create_app\n"
        "from server.settings import GatewaySettings\ncreate_app(GatewaySettings())"
    )
    assert done.returncode == 0, done.stderr


def test_a_worker_there_says_what_is_missing() -> None:
    done = in_the_gateways_image(
        "sys.argv = ['lookback', 'worker']\nfrom lookback.cli import app\napp()"
    )
    assert done.returncode == 78
    assert "install lookback whole" in done.stderr and len(done.stderr.splitlines()) == 1
