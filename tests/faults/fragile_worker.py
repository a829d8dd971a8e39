"""`lookback worker`, whose model is given by some questions what no model should be given.

"nothing": embeddings that are not numbers. "misshapen": embeddings that no weights fit, with which
the whole batch fails. "enormous": the allocator is asked for more than the process may have
(RLIMIT_AS), as a GPU's is that is full. And a white picture ends the process at once, as a driver's
fault or the kernel's killer would.
"""

import os
import resource
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch

from lookback.cli import app
from model_worker import seat
from model_worker.answer import Answer
from model_worker.work import Piece

_MOST: Final = 1 << 30


def _limit() -> None:
    """This process may have so much more memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _MOST
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


_whole = Answer.piece


def _piece(answer: Answer) -> Piece | None:
    piece = _whole(answer)
    if piece is None:
        return None
    if "nothing" in answer.question:
        return replace(piece, embeddings=piece.embeddings * float("nan"))
    if "misshapen" in answer.question:
        return replace(piece, embeddings=piece.embeddings[:, 1:])
    if "enormous" in answer.question:
        _limit()
        torch.empty(2 * _MOST, dtype=torch.uint8)
    return piece


_decoded = seat.decode


def _decode(jpeg: bytes, size: tuple[int, int] | None, max_pixels: int) -> "np.ndarray":
    picture = _decoded(jpeg, size, max_pixels)
    if picture.min() > 250:
        os._exit(139)
    return picture


if __name__ == "__main__":
    Answer.piece = _piece  # type: ignore[method-assign]
    seat.decode = _decode
    app()
