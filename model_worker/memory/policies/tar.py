"""The first half of InfiniPot-V alone: temporal-axis redundancy (arXiv 2506.15745, section 3.2).

Value norms are compared over all that was ever seen, so that what they keep is from the whole of a
stream, and on a long one little of it is from the last minutes. Which of the two a model's
questions need depends on the model: measure it.
"""

from dataclasses import dataclass
from typing import ClassVar

from model_worker.memory.policies.infinipot_v import InfiniPotV


@dataclass(frozen=True)
class TaR(InfiniPotV):
    """Keeps the recent frames, and of the older tokens those least like them."""

    name: ClassVar[str] = "tar"

    tar_ratio: float = 1.0
