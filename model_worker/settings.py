"""What a worker can be told, by `LOOKBACK_*` variables; nothing else here reads the environment."""

import os
import socket
from typing import Final, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

import lookback_files
from model_worker.leases import ABANDONED_SECONDS
from model_worker.snapshot_header import Option
from telemetry.logs import Format

SHIPPED_MODEL: Final = lookback_files.MODEL


class WorkerSettings(BaseSettings):
    """A worker process. Raises pydantic.ValidationError that names the variable to change."""

    model_config = SettingsConfigDict(
        env_prefix="LOOKBACK_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    broker_url: str = "redis://127.0.0.1:6379"
    worker_name: str = Field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    """What its cards are called; each start adds a mark of its own."""
    model: str = str(SHIPPED_MODEL)
    """Hub id or folder of the checkpoint."""
    revision: str | None = None
    """Branch, tag or commit of a hub id; None: its main branch."""
    device: str = "auto"
    """`auto` (CUDA where there is a GPU), `cpu`, `cuda`, `cuda:1`."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of weights and KV memory; `auto`: bfloat16 on CUDA, float32 on a CPU."""
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2"] = "auto"
    """The vision tower's attention; the decoder's is the engine's own."""
    quantization: Literal["none", "int8", "int4"] = "none"
    """Of the decoder's weights; needs `lookback[quantized]`."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of the model; None leaves the choice to torch."""
    policy: str | None = None
    """How memories are compressed, a name of docs/policies.md; None: as suits the model."""
    budget_tokens: int | None = Field(default=None, ge=1)
    """A session's budget where it asks for none; None takes the model's default."""
    positions: Literal["native", "compact"] | None = None
    """Whether rotary positions are made compact when the trained range ends, or in every pass;
    None: as suits the model."""
    max_sessions: int = Field(default=4, ge=1)
    """Sessions at once."""
    kv_bytes: int | None = Field(default=None, ge=1)
    """All sessions' KV memory together, in bytes, taken at the start; None: what max_sessions of
    the default budget take."""
    max_batch: int = Field(default=16, ge=1)
    """Frames, of all sessions together, that pass the model at once."""
    max_answers: int = Field(default=16, ge=1)
    """Answers that are written at the same time; further questions wait."""
    snapshots: str = "off"
    """Where the sessions' memories are written from time to time, so that another worker can go on
    from them: `off`, `broker`, or a folder that all workers share."""
    snapshot_seconds: float = Field(default=5.0, gt=0)
    """How old a session's latest snapshot may be; a memory that has not changed is not written."""
    snapshot_option: Option = "exact"
    """`exact`, `8-bit` or `entropy`, see docs/snapshots.md."""
    drain_seconds: float = Field(default=20.0, ge=0)
    """How long a worker that is to stop goes on with what it was asked; its sessions then go on
    at another one."""
    abandoned_seconds: float = Field(default=ABANDONED_SECONDS, ge=0)
    """How long a session is kept whose gateway is lost or cut off from the broker; six seconds, in
    which that shows, come on top."""
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """Where `/metrics`, `/health` and `/ready` are served by HTTP, for Prometheus and for probes;
    None: nowhere; 0 takes any free port."""
    metrics_host: str = "127.0.0.1"
    """The address of that port; it asks for no credentials."""
    tracing: str | None = None
    """An OTLP collector for traces, as `http://host:4318`; needs `lookback[tracing]`."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged, on stderr."""
    log_format: Format = "text"
    """`json`: one object a line."""

    @field_validator("worker_name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not name or any(c in name for c in " *?[]:"):
            raise ValueError("a worker's name has no spaces and none of * ? [ ] :")
        return name
