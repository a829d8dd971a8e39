"""Profiles are defaults, flags win, and every shipped profile can be read."""

import os
from pathlib import Path

import pytest

from lookback.settings import ServeSettings, apply_flags, apply_profile
from model_worker.settings import WorkerSettings
from server.settings import GatewaySettings

CONFIGS = sorted((Path(__file__).parent.parent.parent / "configs").glob("*.env"))


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test sets goes away with it."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    for name in [name for name in os.environ if name.startswith("LOOKBACK_")]:
        del os.environ[name]


def test_a_variable_wins_over_a_profile_and_a_flag_over_both(tmp_path: Path) -> None:
    profile = tmp_path / "some.env"
    profile.write_text("# words\nLOOKBACK_PORT=1111\nLOOKBACK_HOST=0.0.0.0\nOTHER=1\n")
    os.environ["LOOKBACK_PORT"] = "2222"
    apply_profile(profile)
    assert (os.environ["LOOKBACK_PORT"], os.environ["LOOKBACK_HOST"]) == ("2222", "0.0.0.0")
    assert "OTHER" not in os.environ
    apply_flags(port=3333, host=None)
    assert (os.environ["LOOKBACK_PORT"], os.environ["LOOKBACK_HOST"]) == ("3333", "0.0.0.0")


def test_a_profile_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        apply_profile(tmp_path / "nowhere.env")
    (tmp_path / "empty.env").write_text("# nothing\n")
    with pytest.raises(ValueError, match=r"empty\.env"):
        apply_profile(tmp_path / "empty.env")


@pytest.mark.parametrize("profile", CONFIGS, ids=lambda path: path.stem)
def test_every_line_of_a_shipped_profile_is_a_setting(profile: Path) -> None:
    apply_profile(profile)
    given = {n.removeprefix("LOOKBACK_").lower() for n in os.environ if n.startswith("LOOKBACK_")}
    known = {*WorkerSettings.model_fields, *GatewaySettings.model_fields}
    assert given <= known


@pytest.mark.parametrize(
    ("host", "reachable"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]")],
)
def test_the_page_is_named_by_an_address_that_answers(host: str, reachable: str) -> None:
    assert ServeSettings(host=host).reachable_host == reachable
