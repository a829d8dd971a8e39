"""The decoder with its losses, for stage 1: answers, and probes on the middle layers.

The probes ask object tokens and object words for all that is known of the object; they are dense
supervision for what answers alone teach slowly, and are thrown away afterwards.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlavaOnevisionForConditionalGeneration

from training.attention import NAME, Blocks, blocks
from training.checkpoint import TOKENS_PER_FRAME, build_model, build_tokenizer
from training.clips import Clips
from training.labels import COMMON, FACTS, IGNORE, TOKEN_LABELS
from training.tower import Stage0, begin

PREFIX = 2  # <|im_start|> user
VALUE_COST = 0.02
RECENT = 4  # frames that are always whole
SPREAD = 12  # frames over which evictions are spread
TOKEN_WEIGHTS = {
    "before": 0.5, "start": 0.3, "count": 0.4, "shift": 0.4, "spoken": 0.3, "with": 0.3,
}  # fmt: skip
FACT_WEIGHT = 0.3


def lifetimes(clips: Clips) -> Tensor:
    """The frame from which on each visual token is gone, or one that never comes: [B, 9 T].

    Training is as if the memory were bounded: a model that always saw everything leans on tokens
    that will have been evicted. No policy is imitated: which tokens go is random, but those of
    objects and texts stay twice as often, and a few of each stay whatever happens.
    """
    size, frames = clips.frames.shape
    shape = (size, frames, TOKENS_PER_FRAME)
    share = torch.full(shape, clips.keep)
    share[tuple(clips.things.T)] = min(1.0, 2 * clips.keep)
    share[tuple(clips.anchors.T)] = 1.0
    stays = torch.rand(shape) < share
    seen = torch.arange(frames)[:, None]
    ends = seen + RECENT + torch.randint(1, SPREAD + 1, shape)
    return torch.where(stays, torch.iinfo(torch.int64).max, ends).flatten(1)


class Stage1(nn.Module):
    """The decoder with the answer loss and the probes. `forward` gives loss, right answers
    [B, K, turns] and measures by name."""

    def __init__(self, stage0: Stage0, model: LlavaOnevisionForConditionalGeneration) -> None:
        super().__init__()
        self.model = model
        self.stage0 = stage0
        self.core = model.model
        model.config.text_config._attn_implementation = NAME
        stage0.requires_grad_(False)
        self.core.language_model.requires_grad_(True)
        width = model.config.text_config.hidden_size
        self.probe_tokens = nn.Linear(width, sum(TOKEN_LABELS.values()))
        self.probe_facts = nn.Linear(width, sum(FACTS.values()))
        prefix = build_tokenizer().encode("<|im_start|>user")
        assert len(prefix) == PREFIX
        self.register_buffer("prefix", torch.tensor(prefix))
        self._values: list[Tensor] = []
        for layer in self.core.language_model.layers:
            layer.self_attn.v_proj.register_forward_hook(
                lambda _module, _inputs, values: self._values.append(values)
            )

    def embed(self, clips: Clips, visual: Tensor) -> Tensor:
        """[B, PREFIX + 9 T + K L, hidden] from visual tokens [B, 9 T, hidden]."""
        words = self.core.language_model.embed_tokens
        size, questions, _length = clips.tokens.shape
        branches = words(clips.tokens)
        newline = self.core.image_newline.expand(size, questions, 1, -1)
        branches = torch.cat([newline, branches[:, :, 1:]], dim=2).flatten(1, 2)
        return torch.cat([words(self.prefix).expand(size, -1, -1), visual, branches], dim=1)

    @staticmethod
    def positions(seconds: Tensor, conversations: int, length: int) -> Tensor:
        """Position ids [1, N]: nine a second, and conversations right after the last frame."""
        within = torch.arange(TOKENS_PER_FRAME)
        visual = PREFIX + (seconds[:, None] * TOKENS_PER_FRAME + within).flatten()
        after = int(visual[-1]) + 1 + torch.arange(length)
        return torch.cat([torch.arange(PREFIX), visual, after.repeat(conversations)])[None]

    @staticmethod
    def layout(clips: Clips) -> Blocks:
        """Who sees whom."""
        size, frames = clips.frames.shape
        _, conversations, length = clips.tokens.shape
        seen = PREFIX + TOKENS_PER_FRAME * frames
        if clips.keep == 1:
            return blocks(seen, conversations, length)
        now = torch.arange(frames).repeat_interleave(TOKENS_PER_FRAME)
        never = torch.full((size, PREFIX), torch.iinfo(torch.int64).max)
        ends = torch.cat([never, lifetimes(clips)], dim=1)
        return blocks(seen, conversations, length, F.pad(now, (PREFIX, 0)), ends)

    def forward(self, clips: Clips, visual: Tensor) -> tuple[Tensor, Tensor, dict[str, float]]:
        size, questions, length = clips.tokens.shape
        frames = clips.frames.shape[1]
        positions = self.positions(clips.seconds, questions, length)
        self._values.clear()
        out = self.core.language_model(
            inputs_embeds=self.embed(clips, visual),
            position_ids=positions.expand(size, -1),
            attention_mask={"full_attention": self.layout(clips)},
            use_cache=False,
            output_hidden_states=True,
        )
        seen = PREFIX + TOKENS_PER_FRAME * frames
        wanted = clips.targets != IGNORE
        hidden = out.last_hidden_state[:, seen:].unflatten(1, (questions, length))[wanted]
        logits = self.model.lm_head(hidden).float()
        losses = F.cross_entropy(logits, clips.targets[wanted], reduction="none")
        answer_loss = losses.sum() / (clips.kinds >= 0).sum()
        tokens = self._token_loss(clips, out.hidden_states)
        clip, question, token = clips.named.unbind(1)
        at = seen + question * length + token
        fact_logits = self.probe_facts(out.hidden_states[4][clip, at]).float()
        facts = sum(
            (_loss(part, clips.facts[:, i], name)
             for i, (name, part) in enumerate(
                 zip(FACTS, fact_logits.split(list(FACTS.values()), dim=1), strict=True))),
            answer_loss.new_zeros(()),
        )  # fmt: skip
        # What nobody needs shall have small values: then a value's norm says what is of use.
        heads = self.model.config.text_config.num_key_value_heads
        width = self._values[0].shape[-1] // heads
        values = [v[:, PREFIX:seen].reshape(-1, width) for v in self._values]
        norms = torch.stack([v.norm(dim=-1).mean() for v in values]).mean()
        loss = answer_loss + tokens + FACT_WEIGHT * facts + VALUE_COST * norms
        with torch.no_grad():
            wrong = torch.zeros(clips.kinds.shape, dtype=torch.long)
            row, question, _ = wanted.nonzero(as_tuple=True)
            index = (row, question, clips.turns[wanted])
            wrong.index_put_(index, (logits.argmax(-1) != clips.targets[wanted]).long(), True)
        measures = {
            "answer_loss": answer_loss.item(), "token_loss": tokens.item(),
            "fact_loss": facts.item(), "value_norm": norms.item(),
        }  # fmt: skip
        return loss, wrong == 0, measures

    def _token_loss(self, clips: Clips, states: tuple[Tensor, ...]) -> Tensor:
        """What the tokens of objects and texts know of them."""
        clip, frame, cell = clips.things.unbind(1)
        at = PREFIX + frame * TOKENS_PER_FRAME + cell
        logits = self.probe_tokens(states[4][clip, at]).float()
        parts = logits.split(list(TOKEN_LABELS.values()), dim=1)
        loss: Tensor = logits.new_zeros(())
        for i, (name, part) in enumerate(zip(TOKEN_LABELS, parts, strict=True)):
            loss = loss + TOKEN_WEIGHTS[name] * _loss(part, clips.labels[:, i], name)
        return loss


def _loss(logits: Tensor, labels: Tensor, name: str) -> Tensor:
    """Cross-entropy of a label or a fact, nothing where all are IGNORE."""
    if not bool((labels != IGNORE).any()):
        return logits.new_zeros(())
    weights = logits.new_ones(logits.shape[1])
    if name in COMMON:
        common, weight = COMMON[name]
        weights[common] = weight
    loss: Tensor = F.cross_entropy(logits, labels, weights, ignore_index=IGNORE)
    return loss


def open_state(path: Path) -> Stage1:
    """Stage 1 from a state file of the decoder, or from the folder of a checkpoint."""
    model = begin(path) if path.is_dir() else build_model(build_tokenizer())
    stage = Stage1(Stage0(model), model)
    if not path.is_dir():
        stage.load_state_dict(torch.load(path, weights_only=True)["stage"])
    return stage
