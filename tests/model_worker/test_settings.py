"""A worker's settings come from variables, and bad ones are named."""

import pytest
from pydantic import ValidationError

from model_worker.settings import WorkerSettings


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKBACK_MODEL", "owner/name")
    monkeypatch.setenv("LOOKBACK_KV_BYTES", "1000")
    settings = WorkerSettings()
    assert (settings.model, settings.kv_bytes, settings.threads) == ("owner/name", 1000, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_SESSIONS", "0"),
        ("DTYPE", "float8"),
        ("WORKER_NAME", "a*"),
        ("BUDGET_TOKENS", "many"),
        ("ATTENTION", "fast"),
        ("QUANTIZATION", "int3"),
    ],
)
def test_a_bad_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"LOOKBACK_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        WorkerSettings()
