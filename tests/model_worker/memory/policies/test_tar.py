"""TaR alone: the least like the recent frames stay, however large values are."""

import torch

from model_worker.memory.policies.infinipot_v import InfiniPotV
from model_worker.memory.policies.tar import TaR
from tests.model_worker.memory.policies.memories import tokens_of

PATCHES = 4


def test_values_do_not_matter() -> None:
    generator = torch.Generator().manual_seed(0)
    keys = torch.randn(2, 3, 40, 8, generator=generator)
    values = torch.randn(2, 3, 40, 8, generator=generator)
    patches = torch.arange(40).remainder(PATCHES).expand(2, 3, 40)
    values[:, :, :8] *= 100.0
    chosen = TaR().choose(tokens_of(keys, values, patches), 8, 20)
    assert torch.equal(chosen, TaR().choose(tokens_of(keys, values.flip(2), patches), 8, 20))
    both = InfiniPotV().choose(tokens_of(keys, values, patches), 8, 20)
    loud = torch.arange(8).expand(2, 3, 8)
    assert torch.equal(both[..., :8], loud), "which their value norms keep"
    assert not torch.equal(chosen, both)


def test_a_change_outlasts_what_goes_on_as_before() -> None:
    keys = torch.ones(1, 1, 40, 8)
    keys[:, :, 12:16, ::2] = -1.0  # one frame of ten is another
    patches = torch.arange(40).remainder(PATCHES).expand(1, 1, 40)
    chosen = TaR().choose(tokens_of(keys, torch.ones_like(keys), patches), 4, 8)
    assert chosen[0, 0].tolist() == [12, 13, 14, 15, 36, 37, 38, 39]
