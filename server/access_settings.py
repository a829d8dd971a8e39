"""What a gateway can be told about who may use it, and how much; the rest is in settings.py."""

import json
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_SIGNING_BYTES: Final = 32


def words(given: Any) -> Any:
    """`a,b`, or the same as a JSON list."""
    if not isinstance(given, str):
        return given
    if given.lstrip().startswith("["):
        return json.loads(given)
    return [word.strip() for word in given.split(",") if word.strip()]


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(words)]


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < _SIGNING_BYTES:
        raise ValueError(f"give at least {_SIGNING_BYTES} random bytes: openssl rand -base64 32")
    return secret


SigningSecret = Annotated[SecretStr, AfterValidator(_long_enough)]


class AccessSettings(BaseSettings):
    """Where a gateway listens, whom it lets in, and what one of them may take."""

    model_config = SettingsConfigDict(
        env_prefix="LOOKBACK_",
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        use_attribute_docstrings=True,
    )

    host: str = "127.0.0.1"
    """Another address than this machine's own (127.0.0.1, ::1) wants api_keys_file, too."""
    published_host: str | None = None
    """The address of a container's published port: judged in the place of host."""
    api_keys_file: Path | None = None
    """The API keys (`lookback keys`); with it, whoever has none is turned away."""
    insecure: bool = False
    """Listen on other addresses than this machine's own without API keys, knowingly."""
    token_secret: SigningSecret | None = None
    """Signs session tokens, the same for all gateways; None: the secret in api_keys_file."""
    longest_token_seconds: int = Field(default=86400, ge=10)
    """How long a session token may be good for."""

    allowed_origins: Words = ()
    """Web pages of other origins that may use this gateway, as `https://host[:port]`."""
    allowed_hosts: Words = ()
    """Names besides this machine's own by which a gateway without API keys may be called: a page
    could otherwise give its own name this machine's address (DNS rebinding)."""
    trusted_proxies: Words = ()
    """Addresses or networks of proxies whose X-Forwarded-For says who calls."""

    requests_per_second: float = Field(default=500.0, gt=0)
    """Requests and websockets that one API key may begin, or one address where there are none."""
    new_sessions_per_second: float = Field(default=20.0, gt=0)
    """Sessions that one of them may make, in the long run."""
    sessions_each: int = Field(default=64, ge=1)
    """Sessions that one of them may have at once."""
    websockets_each: int = Field(default=256, ge=1)
    """Websockets that one of them may have at once."""
    failures_per_minute: float = Field(default=30.0, gt=0)
    """Wrong credentials after which an address must wait."""
