"""The pool: whatever fits by arithmetic fits, and nobody's tokens are lost or shared."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_worker.memory.pool import Extent, KVPool, PoolFull

CPU = torch.device("cpu")


def new_pool(tokens: int | None) -> KVPool:
    return KVPool(layers=2, kv_heads=3, head_dim=4, dtype=torch.float32, device=CPU, tokens=tokens)


def fill(pool: KVPool, extent: Extent, mark: int) -> None:
    """Each token's number in the extent, and whose it is."""
    pool.view(extent)[..., 0] = torch.arange(extent.tokens).float()
    pool.view(extent)[..., 1] = mark


def check(pool: KVPool, extent: Extent, mark: int) -> None:
    view = pool.view(extent)
    assert view.shape == (2, 2, 3, extent.tokens, 4)
    assert (view[..., 0] == torch.arange(extent.tokens).float()).all()
    assert (view[..., 1] == mark).all()


@settings(deadline=None, max_examples=60)
@given(
    bound=st.one_of(st.none(), st.integers(10, 60)),
    acts=st.lists(st.tuples(st.booleans(), st.integers(1, 30)), max_size=40),
)
def test_what_fits_by_arithmetic_fits_and_nothing_is_lost(
    bound: int | None, acts: list[tuple[bool, int]]
) -> None:
    pool = new_pool(bound)
    held: dict[int, Extent] = {}
    for mark, (opens, number) in enumerate(acts, start=1):
        used = sum(extent.tokens for extent in held.values())
        if opens:
            if bound is not None and used + number > bound:
                with pytest.raises(PoolFull, match=rf"{bound - used} of {bound} .* {number} are"):
                    pool.allocate(number)
            else:
                held[mark] = pool.allocate(number)
                assert (pool.view(held[mark]) == 0).all(), "nothing of another session is left"
                fill(pool, held[mark], mark)
        elif held:
            gone = sorted(held)[number % len(held)]
            check(pool, held[gone], gone)
            pool.free(held.pop(gone))
        for each, extent in held.items():
            check(pool, extent, each)
        assert pool.used_tokens == sum(extent.tokens for extent in held.values())
        assert pool.used_bytes == pool.used_tokens * 2 * 2 * 3 * 4 * 4
        assert bound is None or pool.buffer.shape[3] == bound


def test_without_a_bound_it_gives_back_what_nobody_holds() -> None:
    pool = new_pool(None)
    extents = [pool.allocate(5), pool.allocate(7)]
    assert pool.buffer.shape[3] == 12
    assert pool.bytes is None
    for extent in extents:
        pool.free(extent)
    assert pool.buffer.shape[3] == 0


def test_with_a_bound_it_says_what_it_may_take() -> None:
    assert new_pool(10).bytes == 10 * 2 * 2 * 3 * 4 * 4
