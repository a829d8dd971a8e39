"""A worker that sleeps instead of computing: `python -m benchmarks.sleeping_worker`.

Everything of a worker is real but its model: leases, queue, runner, scheduler, memories. What
would pass the vision tower or the decoder takes the time that it says here, without a processor;
so two such workers show what two machines would do, on a machine with cores for one. The answers
are noise, as long as they are asked to be.
"""

import logging
import signal
import sys
import time
from types import FrameType
from typing import Any, Final

import torch
from torch import Tensor

from broker.connection import connect
from model_worker.engine import Engine
from model_worker.service import Service
from model_worker.settings import SHIPPED_MODEL, WorkerSettings

FRAME_SECONDS: Final = 0.020
"""Of a frame in the vision tower."""
PASS_SECONDS: Final = 0.025
"""Of a pass through the decoder, whatever it holds."""
TOKEN_SECONDS: Final = 0.001
"""Of each token in it. All three are about six times what lookback-mini takes on one core
(`lookback bench sessions`), so that the little that is computed here does not count."""
_WORD: Final = "dog"


def asleep() -> Engine:
    """The shipped model's engine, whose passes sleep."""
    engine = Engine.load(SHIPPED_MODEL, threads=1)
    adapter = engine.adapter
    word = adapter.tokenizer(_WORD, add_special_tokens=False).input_ids[-1]
    hidden = adapter.embed([word]).shape[-1]
    vocabulary = adapter.model.lm_head.weight.shape[0]

    def encode(units: Tensor, grid: Any) -> Tensor:
        time.sleep(len(units) * FRAME_SECONDS)
        return torch.zeros(len(units), grid.tokens, hidden, dtype=adapter.dtype)

    def forward(embeddings: Tensor, positions: Tensor, packed: Any) -> Tensor:
        time.sleep(PASS_SECONDS + len(embeddings) * TOKEN_SECONDS)
        return torch.zeros_like(embeddings)

    def logits(hidden: Tensor) -> Tensor:
        chosen = torch.zeros(len(hidden), vocabulary)
        chosen[:, word] = 1.0
        return chosen

    for name, sleeping in (("encode", encode), ("forward", forward), ("logits", logits)):
        setattr(adapter, name, sleeping)
    engine.name = "simulated"
    return engine


def main() -> int:
    """Serve until SIGTERM."""
    logging.basicConfig(level="WARNING", stream=sys.stderr)
    # Keys and values are never written, so the policy must not look at them.
    settings = WorkerSettings(policy="recency", max_answers=4)
    service = Service(asleep(), settings, connect(settings.broker_url))

    def stop(number: int, frame: FrameType | None) -> None:
        service.stop()

    signal.signal(signal.SIGTERM, stop)
    return service.run()


if __name__ == "__main__":
    sys.exit(main())
