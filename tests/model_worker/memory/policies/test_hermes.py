"""HERMES: new things in shallow layers, what a summary looks at in deep ones."""

import torch

from model_worker.memory.policies.hermes import Hermes, depths
from tests.model_worker.memory.policies.memories import after, noise

POLICY = Hermes()
LAYERS = 10


def test_layers_have_kinds_by_depth() -> None:
    assert depths(10) == ["shallow"] + ["middle"] * 6 + ["deep"] * 3
    assert depths(28).count("shallow") == 3
    assert depths(3) == ["shallow", "middle", "deep"]
    assert depths(2) == ["shallow", "deep"]
    assert depths(1) == ["deep"]


def test_shallow_layers_keep_what_is_new_and_deep_ones_what_is_looked_at() -> None:
    tokens = noise(POLICY, layers=LAYERS)
    tokens.attention.mul_(0.01)
    tokens.attention[1, 5:, :, [2, 9, 15]] = 0.3
    kept = POLICY.choose(tokens, 6, 24)
    assert (kept[0] >= 20).all(), "but for what is handed down"
    for layer in (7, 8, 9):
        assert torch.isin(torch.tensor([2, 9, 15]), kept[layer, 0]).all()
    assert (kept == kept[:, :1]).all(), "heads of a layer keep the same"


def test_scores_are_handed_down_from_layer_to_layer() -> None:
    """A middle layer that does not look at a token keeps it for the deeper ones that do."""
    tokens = noise(POLICY, layers=LAYERS)
    plain = tokens.attention.clone()
    tokens.attention[1, 6:, :, 14] = 0.9
    handed = POLICY.score(tokens, 42)[5, 0, 14]
    tokens.attention.copy_(plain)
    assert handed > POLICY.score(tokens, 42)[5, 0, 14]


def test_deep_layers_fold_what_goes_into_one_summary_that_stays() -> None:
    tokens = noise(POLICY, layers=LAYERS)
    kept = POLICY.choose(tokens, 6, 24)
    result = POLICY.merge(tokens, kept)
    assert result is not None
    assert result.marks is not None
    layer, head = 9, 1
    gone = [token for token in range(48) if token not in kept[layer, head].tolist()]
    members = [*gone, int(kept[layer, head, 0])]
    mean = tokens.values[layer, head, members].mean(0)
    _, values = after(tokens, kept, result)
    assert torch.allclose(values[layer, head, 0], mean, atol=1e-5)
    assert result.at[0].unique().tolist() == [7, 8, 9], "deep layers alone"
    assert not result.at[2].any(), "the oldest kept is its place"
    assert (result.marks == 25.0).all()
    place = int(kept[layer, head, 0])
    tokens.marks[0, layer, :, place] = 25.0
    tokens.attention.zero_()
    tokens.attention[..., -6:] = 0.1
    again = POLICY.choose(tokens, 6, 12)
    assert (again[layer] == place).any(-1).all(), "a summary stays whatever is looked at"
