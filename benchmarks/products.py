"""The matrix products of a computation, taken down as it runs, and run again alone."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten


@dataclass(frozen=True)
class Product:
    """`batch` times `[m, k] x [k, n]`. `right` is the weight `[k, n]`, where it is one."""

    batch: int
    m: int
    k: int
    n: int
    right: Tensor | None = None

    @property
    def flops(self) -> int:
        return 2 * self.batch * self.m * self.k * self.n


class Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Takes down the products of all that runs inside: linear layers, convolutions whose patches
    do not overlap, and attention, which is two."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[Product] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is _aten.mm.default:
            self._weighs(*args[:2])
        elif func is _aten.addmm.default:
            self._weighs(*args[1:3])
        elif func in (_aten.bmm.default, _aten.baddbmm.default):
            left, right = args[-2:]
            batch, m, k = left.shape
            self.found.append(Product(batch, m, k, right.shape[2]))
        elif func is _aten.convolution.default:
            weight = args[1].flatten(1).t()
            k, n = weight.shape
            self.found.append(Product(1, result.numel() // n, k, n, weight))
        elif func is _aten._scaled_dot_product_flash_attention_for_cpu.default:
            query, keys = args[:2]
            batch, queries = math.prod(query.shape[:2]), query.shape[2]
            for inner, outer in (query.shape[3], keys.shape[2]), (keys.shape[2], query.shape[3]):
                self.found.append(Product(batch, queries, inner, outer))
        return result

    def _weighs(self, left: Tensor, weight: Tensor) -> None:
        m, k = left.shape
        self.found.append(Product(1, m, k, weight.shape[1], weight))


def shapes(products: list[Product]) -> list[dict[str, int]]:
    """What is in `products` by shape, the largest share of the work first."""
    counts = Counter((each.batch, each.m, each.k, each.n) for each in products)
    records = [
        {"batch": batch, "m": m, "k": k, "n": n, "times": times}
        for (batch, m, k, n), times in counts.items()
    ]
    return sorted(records, key=lambda each: -math.prod(each.values()))


def prepare(products: list[Product]) -> Callable[[], None]:
    """A function that runs the products one after the other, into memory that is ready for them;
    weights are those of the model, as they come from memory in a forward."""
    ready: dict[tuple[object, ...], Tensor] = {}

    def operand(side: str, *shape: int) -> Tensor:
        return ready.setdefault((side, shape), torch.randn(shape))

    calls = []
    for each in products:
        shape = (each.batch,) if each.right is None else ()
        left = operand("left", *shape, each.m, each.k)
        right = operand("right", *shape, each.k, each.n) if each.right is None else each.right
        calls.append((left, right, operand("out", *shape, each.m, each.n)))

    @torch.no_grad()
    def run() -> None:
        for left, right, out in calls:
            torch.matmul(left, right, out=out)

    return run
