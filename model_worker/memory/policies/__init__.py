"""The compression policies by name."""

from model_worker.memory.policies.base import CompressionPolicy
from model_worker.memory.policies.infinipot_v import InfiniPotV
from model_worker.memory.policies.recency import Recency
from model_worker.memory.policies.tar import TaR

DEFAULT = InfiniPotV.name

POLICIES: dict[str, type[CompressionPolicy]] = {
    policy.name: policy for policy in (InfiniPotV, Recency, TaR)
}


def make_policy(name: str) -> CompressionPolicy:
    """The policy of that name with its defaults. Raises ValueError for an unknown name."""
    if name not in POLICIES:
        raise ValueError(f"unknown policy {name!r}; known: {', '.join(sorted(POLICIES))}")
    return POLICIES[name]()
