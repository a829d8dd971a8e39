"""The optimisers and the learning-rate schedule of both stages."""

import math

import torch
from torch import nn


class Optimisers:
    """Muon (Jordan et al. 2024) for the hidden matrices, AdamW for everything else."""

    def __init__(
        self, modules: list[nn.Module], muon_rate: float, adam_rate: float, decay: float = 0.02
    ) -> None:
        seen: set[int] = set()
        matrices: list[nn.Parameter] = []
        rest: list[nn.Parameter] = []
        for module in modules:
            for name, parameter in module.named_parameters():
                if id(parameter) in seen or not parameter.requires_grad:
                    continue
                seen.add(id(parameter))
                is_table = "embed" in name or "lm_head" in name or "probe" in name
                (matrices if parameter.ndim == 2 and not is_table else rest).append(parameter)
        self.parameters = matrices + rest
        self.muon = torch.optim.Muon(
            matrices, lr=muon_rate, weight_decay=decay, momentum=0.95,
            adjust_lr_fn="match_rms_adamw",
        )  # fmt: skip
        self.adam = torch.optim.AdamW(rest, lr=adam_rate, betas=(0.9, 0.98), weight_decay=decay)
        self.rates = (muon_rate, adam_rate)

    def step(self, scale: float) -> float:
        """Apply the gradients at `scale` times the peak rates; returns the gradient norm."""
        norm = float(nn.utils.clip_grad_norm_(self.parameters, 1.0))
        for optimiser, rate in zip((self.muon, self.adam), self.rates, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * scale
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return norm

    def state_dict(self) -> dict[str, object]:
        return {"muon": self.muon.state_dict(), "adam": self.adam.state_dict()}

    def load_state_dict(self, state: dict[str, dict[str, object]]) -> None:
        self.muon.load_state_dict(state["muon"])
        self.adam.load_state_dict(state["adam"])


def warm_cosine(done: float, warm: float = 0.02, floor: float = 0.03) -> float:
    """Rate at `done` (0..1 of the run) as a share of the peak."""
    if done < warm:
        return done / warm
    share = min(1.0, (done - warm) / (1 - warm))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * share))
