"""What the engine has to know of a model family, and nothing else of any model.

An adapter says how a frame becomes pixel values, how pixel values become visual tokens and a
grid, which positions tokens get, and which chat template stands around them. It knows nothing of
memories, sessions or sampling.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_worker.checkpoint import Checkpoint, ModelError


@dataclass(frozen=True)
class Grid:
    """A unit of visual tokens (one frame, or two for Qwen) and the size of its frames."""

    rows: int
    columns: int
    height: int  # pixels
    width: int  # pixels

    @property
    def tokens(self) -> int:
        return self.rows * self.columns


@dataclass(frozen=True)
class Turn:
    """One question and its answer."""

    question: str
    answer: str


class FamilyAdapter(ABC):
    """One loaded checkpoint of a family. Frames are grouped in *units* of `frames_per_unit`."""

    model_types: ClassVar[tuple[str, ...]]
    frames_per_unit: int = 1
    position_axes: ClassVar[int] = 1

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.model: Any = checkpoint.model
        self.config: Any = checkpoint.model.config
        self.tokenizer: Any = checkpoint.tokenizer
        self._template = checkpoint.chat_template
        self._preprocessing = checkpoint.preprocessing
        text = self.config.text_config
        if any(kind != "full_attention" for kind in text.layer_types):
            raise ModelError(
                "this checkpoint uses sliding-window attention in some layers, which the bounded "
                "memory does not support: set use_sliding_window to false in its config"
            )
        self.layers: int = text.num_hidden_layers
        self.kv_heads: int = text.num_key_value_heads
        self.head_dim: int = (
            getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        )
        self.longest_position: int = text.max_position_embeddings
        self._special_texts = sorted(
            {*self.tokenizer.all_special_tokens, *self.tokenizer.get_added_vocab()},
            key=len,
            reverse=True,
        )

    # -- frames ---------------------------------------------------------------------------------

    @property
    @abstractmethod
    def frame_size(self) -> tuple[int, int] | None:
        """(width, height) in pixels where the input size is fixed, else None."""

    @property
    @abstractmethod
    def max_pixels(self) -> int:
        """Pixels that a frame has at most once it is resized."""

    @property
    @abstractmethod
    def most_tokens_per_unit(self) -> int:
        """Visual tokens that a unit has at most."""

    @abstractmethod
    def grid(self, width: int, height: int) -> Grid:
        """The grid for frames that arrive `width` x `height` pixels."""

    @abstractmethod
    def pixels(self, frame: NDArray[np.uint8], grid: Grid) -> Tensor:
        """A frame, RGB `[height, width, 3]` of any size, as float32 `[3, height, width]` of the
        grid's size, normalised."""

    @abstractmethod
    def encode(self, units: Tensor, grid: Grid) -> Tensor:
        """Pixel values `[units, frames_per_unit, 3, height, width]` as embeddings
        `[units, tokens, hidden]`, tokens row by row."""

    def closing(self) -> Tensor:
        """Embeddings `[n, hidden]` that stand between the last visual token and the text."""
        return self.embed([])

    # -- positions ------------------------------------------------------------------------------

    @abstractmethod
    def time_position(self, units: int, seconds: float, grid: Grid) -> int:
        """The first position of the unit that comes `units` units and `seconds` seconds after
        the one at position 0."""

    @abstractmethod
    def time_stride(self, tokens_per_unit: int) -> int:
        """How many positions along time one unit takes at least."""

    @abstractmethod
    def visual_positions(self, prefix: int, start: int, grid: Grid) -> Tensor:
        """Positions `[position_axes, tokens]` of a unit whose first position along time is
        `start`, after `prefix` tokens of text; the first axis is time."""

    @abstractmethod
    def text_start(self, prefix: int, highest: int, grid: Grid) -> int:
        """The position of the first token after visual tokens that reach up to `highest`."""

    @abstractmethod
    def time_frequencies(self) -> Tensor:
        """Radians per position along time of each rotary pair, float32 `[head_dim / 2]`; 0 for a
        pair that another axis turns."""

    def text_positions(self, start: int, tokens: int) -> Tensor:
        """Positions `[position_axes, tokens]` of text."""
        positions = torch.arange(start, start + tokens, device=self.device)
        return positions.expand(self.position_axes, tokens)

    # -- the language model ---------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        return torch.device(self.model.device)

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.model.dtype
        return dtype

    def embed(self, ids: list[int]) -> Tensor:
        """Token ids as embeddings `[tokens, hidden]`."""
        tensor = torch.tensor(ids, dtype=torch.long, device=self.device)
        embedded: Tensor = self.model.get_input_embeddings()(tensor)
        return embedded

    def forward(
        self, embeddings: Tensor, positions: Tensor, mask: Tensor | None, cache: Any
    ) -> Tensor:
        """The decoder layers over `[tokens, hidden]` at `positions` `[position_axes, tokens]`,
        writing to `cache`, under `mask` `[1, 1, tokens, keys]`; without both, plainly causal.
        Returns hidden states `[tokens, hidden]`; never runs the LM head."""
        outputs = self.model.model.language_model(
            inputs_embeds=embeddings[None],
            position_ids=positions if self.position_axes == 1 else positions[:, None],
            attention_mask={"full_attention": mask},
            past_key_values=cache,
            use_cache=cache is not None,
        )
        hidden: Tensor = outputs.last_hidden_state[0]
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """The LM head on one position: `[hidden]` to float32 `[vocabulary]`."""
        logits: Tensor = self.model.lm_head(hidden[None])[0].float()
        return logits

    # -- the conversation -----------------------------------------------------------------------

    def stop_ids(self) -> frozenset[int]:
        """The tokens that end an answer."""
        found: set[int] = set()
        for source in (self.model.generation_config, self.config.text_config, self.tokenizer):
            ids = getattr(source, "eos_token_id", None)
            found.update([ids] if isinstance(ids, int) else ids or [])
        return frozenset(found)

    def uncontrolled(self, text: str) -> str:
        """Text without the tokenizer's control tokens, so that what is said stays what is said."""
        for special in self._special_texts:
            text = text.replace(special, " ")
        return text

    def conversation(self, turns: list[Turn], question: str) -> tuple[list[int], list[int]]:
        """The token ids before and after the visual tokens of a conversation about one video.

        The first half does not depend on what is said. Raises ModelError where the chat template
        has no single place for a video.
        """
        messages: list[dict[str, Any]] = []
        for turn in turns:
            messages += [_said("user", turn.question), _said("assistant", turn.answer)]
        messages.append(_said("user", question))
        messages[0]["content"].insert(0, {"type": "video"})
        text = self.tokenizer.apply_chat_template(
            messages,
            chat_template=self._template,
            tokenize=False,
            add_generation_prompt=True,
        )
        ids: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        video = self.config.video_token_id
        if ids.count(video) != 1:
            raise ModelError(
                f"the chat template gives {ids.count(video)} video tokens for one video; it must "
                "render {'type': 'video'} as exactly one video token"
            )
        place = ids.index(video)
        return ids[:place], ids[place + 1 :]


def _said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}
