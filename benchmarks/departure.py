"""How far what is said over one memory departs from what is said over another, word by word."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model_worker.decoding import Sampling
from model_worker.families.base import FamilyAdapter
from model_worker.session import Session
from model_worker.work import run


@dataclass(frozen=True)
class Departure:
    """`kl`: the mean divergence in nats, over the words of an answer, of what the next token may be
    over the memory from what it may be over the reference. `agreement`: the share of words at which
    both find the same token the most likely."""

    kl: float
    agreement: float


def departures(
    adapter: FamilyAdapter,
    reference: Session,
    others: Sequence[Session],
    question: str,
    longest: int,
) -> list[Departure]:
    """Of each of `others`, led word by word along the answer of `reference`, whose first `longest`
    tokens are the most likely ones. No memory is changed."""
    (expected,), tokens = _said(adapter, [reference], question, longest, None)
    followed, _ = _said(adapter, others, question, longest, tokens)
    return [_departure(expected, given) for given in followed]


def _departure(expected: Tensor, given: Tensor) -> Departure:
    kl = (expected.exp() * (expected - given)).sum(-1).mean()
    same = (expected.argmax(-1) == given.argmax(-1)).double().mean()
    return Departure(max(0.0, float(kl)), float(same))


@torch.no_grad()
def _said(
    adapter: FamilyAdapter,
    sessions: Sequence[Session],
    question: str,
    longest: int,
    led: list[int] | None,
) -> tuple[list[Tensor], list[int]]:
    """Log probabilities, float64 `[tokens, vocabulary]`, of each session, and the tokens that were
    said: those of `led`, else the first session's most likely ones."""
    sampling = Sampling(max_tokens=longest)
    answers = [session.ask(question, sampling, aside=True) for session in sessions]
    heard: list[list[Tensor]] = [[] for _ in answers]
    tokens: list[int] = []
    try:
        # All read the same prompt, so that all speak in the same step, and end with one token.
        while all(answer.running for answer in answers) and (led is None or len(tokens) < len(led)):
            pieces = [piece for answer in answers if (piece := answer.piece()) is not None]
            logits = run(adapter, pieces)
            spoke = [each for each in logits if each is not None]
            if spoke:
                tokens.append(int(spoke[0].argmax()) if led is None else led[len(tokens)])
                for words, each in zip(heard, spoke, strict=True):
                    words.append(each.double().log_softmax(-1))
            for answer, last in zip(answers, logits, strict=True):
                answer.commit(None if last is None else _only(tokens[-1], last))
    finally:
        for answer in answers:
            answer.cancel()
    return [torch.stack(words) for words in heard], tokens


def _only(token: int, logits: Tensor) -> Tensor:
    """Logits that make the next token this one."""
    alone = torch.zeros_like(logits)
    alone[token] = 1.0
    return alone
