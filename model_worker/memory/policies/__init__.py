"""The compression policies by name."""

from model_worker.memory.policies.base import CompressionPolicy
from model_worker.memory.policies.chance import Random
from model_worker.memory.policies.full import Full
from model_worker.memory.policies.hermes import Hermes
from model_worker.memory.policies.infinipot_v import InfiniPotV, InfiniPotVReleased
from model_worker.memory.policies.key_norm import KeyNorm
from model_worker.memory.policies.keydiff import KeyDiff
from model_worker.memory.policies.novelty import Novelty
from model_worker.memory.policies.pivots import Pivots
from model_worker.memory.policies.pooling import InfiniPotVPooled
from model_worker.memory.policies.readmem import ReadMem
from model_worker.memory.policies.recency import Recency
from model_worker.memory.policies.streammem import StreamMem
from model_worker.memory.policies.tar import TaR
from model_worker.memory.policies.uniform import Uniform
from model_worker.memory.policies.van import ReversedVaN, VaN

DEFAULT = InfiniPotV.name

POLICIES: dict[str, type[CompressionPolicy]] = {
    policy.name: policy
    for policy in (
        InfiniPotV,
        InfiniPotVPooled,
        InfiniPotVReleased,
        Novelty,
        TaR,
        VaN,
        ReversedVaN,
        StreamMem,
        Hermes,
        Pivots,
        ReadMem,
        KeyNorm,
        KeyDiff,
        Full,
        Recency,
        Uniform,
        Random,
    )
}


def make_policy(name: str) -> CompressionPolicy:
    """The policy of that name with its defaults. Raises ValueError for an unknown name."""
    if name not in POLICIES:
        raise ValueError(f"unknown policy {name!r}; known: {', '.join(sorted(POLICIES))}")
    return POLICIES[name]()
