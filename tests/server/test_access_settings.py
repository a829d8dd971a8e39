"""Lists in variables, and secrets that are not repeated."""

from typing import Any

import pytest
from pydantic import ValidationError

from server.access_settings import AccessSettings


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("a,b", ("a", "b")),
        (" a , b ,", ("a", "b")),
        ('["a", "b"]', ("a", "b")),
        ("", ()),
        ("[]", ()),
    ],
)
def test_a_list_is_written_as_one_likes(
    given: str, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ALLOWED_ORIGINS", "ALLOWED_HOSTS", "TRUSTED_PROXIES"):
        monkeypatch.setenv(f"LOOKBACK_{name}", given)
    settings = AccessSettings()
    assert settings.allowed_origins == settings.allowed_hosts == settings.trusted_proxies == read


@pytest.mark.parametrize("broken", ["[", "[1", '[{"a": 1}]'])
def test_a_broken_one_is_named(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKBACK_ALLOWED_HOSTS", broken)
    with pytest.raises(ValidationError, match="allowed_hosts"):
        AccessSettings()


def test_a_signing_secret_is_long_and_stays_secret() -> None:
    settings = AccessSettings(token_secret="s" * 32)  # type: ignore[arg-type]
    assert "s" * 32 not in repr(settings)
    with pytest.raises(ValidationError, match="openssl rand"):
        AccessSettings(token_secret="s" * 31)  # type: ignore[arg-type]
