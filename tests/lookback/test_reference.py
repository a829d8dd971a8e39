"""The page of all settings is current, and says of each what it does."""

import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from lookback import reference
from lookback.settings import KeysSettings, ServeSettings
from model_worker.settings import WorkerSettings
from server.settings import GatewaySettings
from tests.lookback.conftest import ROOT


def test_the_page_is_current() -> None:
    stands = reference.FILE.read_text() if reference.FILE.exists() else ""
    assert stands == reference.page(), "docs/settings.md is not what the code says: run `make docs`"


def test_every_setting_stands_there_once_with_words() -> None:
    assert reference.undescribed() == []
    listed = re.findall(r"^\| `LOOKBACK_(\w+)`.*\|$", reference.page(), re.MULTILINE)
    listed = [name for name in listed if name not in ("PUBLISH", "TURN_REALM")]
    read = set()
    for settings in (GatewaySettings, WorkerSettings, ServeSettings, KeysSettings):
        read |= set(settings.model_fields)
    assert sorted(listed) == sorted(name.upper() for name in read)


def test_no_other_class_reads_settings() -> None:
    """One that does is to be added to the readers."""
    found = set()
    for folder in ("broker", "lookback", "messages", "model_worker", "server", "telemetry"):
        for path in (ROOT / folder).rglob("*.py"):
            if re.search(r"^class \w+\((\w+, )*BaseSettings\b", path.read_text(), re.MULTILINE):
                found.add(str(path.relative_to(ROOT)))
    assert found == {
        "lookback/settings.py",
        "model_worker/settings.py",
        "server/access_settings.py",
    }


def test_what_depends_on_the_machine_is_not_on_the_page() -> None:
    page = reference.page()
    assert str(ROOT) not in page and str(Path.home()) not in page


class _Settings(BaseSettings):
    whole: int | None = Field(default=None, ge=1, lt=9)
    secret: SecretStr | None = None
    choice: Literal["a", "b"] = "a"
    several: tuple[str, ...] = ("x",)
    bounded: Annotated[float, Field(gt=0)] = 0.5
    on: bool = True


@pytest.mark.parametrize(
    ("name", "words", "default"),
    [
        ("whole", "whole number ≥ 1, < 9", "none"),
        ("secret", "secret", "none"),
        ("choice", "`a` | `b`", "`a`"),
        ("several", "list", "`('x',)`"),
        ("bounded", "number > 0", "`0.5`"),
        ("on", "`1` or `0`", "`1`"),
    ],
)
def test_types_and_defaults_are_in_words(name: str, words: str, default: str) -> None:
    field = _Settings.model_fields[name]
    assert reference.kind(field.annotation, field.metadata) == words
    assert reference.shown(field) == default
