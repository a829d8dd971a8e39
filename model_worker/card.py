"""A worker's card, from a try of its engine."""

import secrets

import numpy as np

from messages.workers import PROTOCOL, WorkerCard
from model_worker.decoding import Sampling
from model_worker.engine import Engine
from model_worker.settings import WorkerSettings


def tried(engine: Engine, settings: WorkerSettings) -> WorkerCard:
    """After two frames and a question went through the engine, which warms it up, too. Raises
    ValueError where the settings' budget or policy cannot work with this model."""
    budget = settings.budget_tokens or engine.default_budget_tokens
    session = engine.open_session(
        budget_tokens=budget, policy=settings.policy, positions=settings.positions
    )
    width, height = engine.frame_size or (448, 448)
    picture = np.full((height, width, 3), 127, dtype=np.uint8)
    for second in range(2):
        session.watch(picture, float(second))
    for _ in session.ask("What is it now?", Sampling(max_tokens=2)):
        pass
    cap = session.memory.cap_tokens
    session.close()
    return WorkerCard(
        # A new name each start: whoever sees the old one gone knows that its memory is lost.
        worker=f"{settings.worker_name}-{secrets.token_hex(3)}",
        model=engine.name,
        family=engine.family,
        device=str(engine.device),
        frame_size=engine.frame_size,
        max_pixels=engine.max_pixels,
        budget_tokens=budget,
        cap_tokens=cap,
        tokens_per_frame=engine.tokens_per_frame,
        kv_bytes_per_session=engine.session_bytes(budget),
        sessions=0,
        max_sessions=settings.max_sessions,
        kv_bytes_used=0,
        frames_per_second=0.0,
        protocol=PROTOCOL,
    )
