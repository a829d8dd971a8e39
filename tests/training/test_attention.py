"""Attention in blocks is attention with the dense mask."""

import pytest
import torch
from torch.nn import functional as F

from training.attention import CHUNK, attend, blocks

SEEN, CONVERSATIONS, LENGTH = CHUNK + 40, 3, 7


@pytest.mark.parametrize("forgets", [False, True])
def test_it_is_the_same_as_with_a_dense_mask(forgets: bool) -> None:
    torch.manual_seed(0)
    whole = SEEN + CONVERSATIONS * LENGTH
    query = torch.randn(2, 4, whole, 8)
    key, value = torch.randn(2, 2, 2, whole, 8)
    now = torch.arange(SEEN) // 9
    never = torch.iinfo(torch.int64).max
    ends = torch.where(torch.rand(2, SEEN) < 0.3, never, now + 5) if forgets else None
    mask = torch.zeros(2, 1, whole, whole, dtype=torch.bool)
    mask[..., :SEEN, :SEEN] = torch.ones(SEEN, SEEN, dtype=torch.bool).tril()
    mask[..., SEEN:, :SEEN] = True
    if ends is not None:
        mask[:, 0, :SEEN, :SEEN] &= ends[:, None] > now[:, None]
        mask[:, 0, SEEN:, :SEEN] &= (ends > now[-1] + 1)[:, None]
    for i in range(CONVERSATIONS):
        at = slice(SEEN + i * LENGTH, SEEN + (i + 1) * LENGTH)
        mask[..., at, at] = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
    expected = F.scaled_dot_product_attention(
        query, key.repeat_interleave(2, 1), value.repeat_interleave(2, 1), mask
    )
    layout = blocks(SEEN, CONVERSATIONS, LENGTH, now if forgets else None, ends)
    found, _ = attend(None, query, key, value, layout, 8**-0.5)
    assert torch.allclose(found.transpose(1, 2), expected, atol=1e-5)
