"""What the whole service can be told; its parts read their own settings from the same variables."""

import os
from pathlib import Path

from dotenv import dotenv_values
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from lookback_files import PROFILES
from telemetry.logs import Format


class ServeSettings(BaseSettings):
    """One machine's service. broker_url None: an embedded broker."""

    model_config = SettingsConfigDict(
        env_prefix="LOOKBACK_",
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        use_attribute_docstrings=True,
    )

    broker_url: str | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8400, ge=0, le=65535)
    ssl_certfile: Path | None = None
    log_format: Format = "text"

    @property
    def scheme(self) -> str:
        return "https" if self.ssl_certfile else "http"

    @property
    def reachable_host(self) -> str:
        """An address of this machine where a gateway bound to `host` answers."""
        local = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}
        return local.get(self.host, f"[{self.host}]" if ":" in self.host else self.host)


class KeysSettings(BaseSettings):
    """Where `lookback keys` keeps them; None: in the user's own folder for settings."""

    model_config = SettingsConfigDict(
        env_prefix="LOOKBACK_",
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        use_attribute_docstrings=True,
    )

    api_keys_file: Path | None = None

    @property
    def path(self) -> Path:
        """The file, by a name that stays right wherever a gateway is started."""
        config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
        path = self.api_keys_file or Path(config) / "lookback" / "keys.json"
        return path.expanduser().absolute()


def apply_profile(path: Path) -> None:
    """Take a profile's `LOOKBACK_*` lines as defaults: variables that are set already stay.

    Raises FileNotFoundError, and ValueError for a file without any such line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no profile {path}. {PROFILES} has some to start from.")
    values = {k: v for k, v in dotenv_values(path).items() if k.startswith("LOOKBACK_")}
    if not values:
        raise ValueError(f"{path} has no LOOKBACK_NAME=value line.")
    for name, value in values.items():
        os.environ.setdefault(name, value or "")


def apply_flags(**flags: object) -> None:
    """Command-line flags win over variables; None means that the flag was not given."""
    for name, value in flags.items():
        if value is not None:
            os.environ[f"LOOKBACK_{name.upper()}"] = str(value)
