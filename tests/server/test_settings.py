"""Settings come from variables and flags, and a wrong one is named."""

import pytest
from pydantic import ValidationError

from messages.questions import MOST_WAITING
from server.settings import GatewaySettings


def test_variables_are_read_and_flags_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKBACK_PORT", "9000")
    monkeypatch.setenv("LOOKBACK_FPS", "2.5")
    monkeypatch.setenv("LOOKBACK_ALLOWED_ORIGINS", '["https://a.example"]')
    settings = GatewaySettings(port=9001)
    assert (settings.port, settings.fps) == (9001, 2.5)
    assert settings.allowed_origins == ("https://a.example",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 70000),
        ("fps", 0),
        ("fps", "fast"),
        ("jpeg_quality", 101),
        ("orphan_seconds", -1),
        ("queued_questions", MOST_WAITING),
        ("instructions_characters", 0),
    ],
)
def test_a_wrong_value_is_named(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        GatewaySettings(**{name: value})


def test_the_page_and_the_samples_are_where_they_ship() -> None:
    settings = GatewaySettings()
    assert (settings.client_folder / "index.html").is_file()
    assert settings.samples_folder.name == "samples"
