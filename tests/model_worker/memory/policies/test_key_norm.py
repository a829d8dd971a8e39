"""Small keys stay, the same in every head."""

from model_worker.memory.policies.key_norm import KeyNorm
from tests.model_worker.memory.policies.memories import noise


def test_small_keys_stay_in_every_head() -> None:
    tokens = noise(KeyNorm())
    tokens.keys[:, :, 10:16] *= 0.01
    tokens.keys[:, 1, 20:26] *= 0.001  # small in one head alone
    kept = KeyNorm().choose(tokens, 6, 12)
    assert kept[1, 2].tolist() == [*range(10, 16), *range(42, 48)]
    assert (kept == kept[:, :1]).all()
