"""What the engine has to know of a model family, and nothing else of any model.

An adapter says how a frame becomes pixel values, how pixel values become visual tokens and a
grid, which positions tokens get, which text stands around each unit, and which chat template around
them all. It knows nothing of memories, sessions or sampling.

What is said here without `abstractmethod` holds for a decoder with 1-D RoPE whose units follow one
another without text between them; a family that does otherwise overrides it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_worker.checkpoint import Checkpoint, ModelError
from model_worker.families.kernels import quicken
from model_worker.families.template import ChatTemplate, Turn
from model_worker.memory.packed import ATTENTION, PackedCache


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
class Around:
    """Token ids of the text before and after the visual tokens of one unit."""

    before: list[int]
    after: list[int]


class FamilyAdapter(ABC):
    """One loaded checkpoint of a family. Frames are grouped in *units* of `frames_per_unit`."""

    model_types: ClassVar[tuple[str, ...]]
    frames_per_unit: int = 1
    position_axes: ClassVar[int] = 1
    adds_special_tokens: ClassVar[bool] = False  # whether the processor lets the tokenizer do so
    text_room: tuple[int, int] = (0, 0)  # the most tokens of text before and after a unit

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.model: Any = checkpoint.model
        self.config: Any = checkpoint.model.config
        self.tokenizer: Any = checkpoint.tokenizer
        self._template = ChatTemplate(checkpoint.tokenizer, checkpoint.chat_template)
        self._preprocessing = checkpoint.preprocessing
        self.measured = checkpoint.measured
        self.identity = checkpoint.identity
        text = self.config.text_config
        # Of configs without layer types, those that know of windows use them in every layer.
        kinds = getattr(text, "layer_types", None)
        if kinds is None and getattr(text, "sliding_window", None):
            kinds = ["sliding_attention"]
        self._mask_by_kind = hasattr(text, "layer_types")
        if any(kind != "full_attention" for kind in kinds or ()):
            raise ModelError(
                "this checkpoint uses sliding-window attention in some layers, which the bounded "
                "memory does not support: set use_sliding_window to false in its config, or "
                "sliding_window to null where it has no such setting"
            )
        # All sessions' tokens pass the decoder in one row; see PackedCache.
        self._decoder.config._attn_implementation = ATTENTION
        quicken(self.model)
        self.layers: int = text.num_hidden_layers
        self.kv_heads: int = text.num_key_value_heads
        self.head_dim: int = (
            getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        )
        self.longest_position: int = text.max_position_embeddings

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
        """Tokens that a unit has at most, the text around it among them."""

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

    # -- the text around a unit -----------------------------------------------------------------

    def unit_text(self, index: int, seconds: list[float]) -> Around:
        """The text around the unit that is number `index` (from 0) in the stream and whose frames
        came `seconds` after the first of the stream.

        These tokens are remembered with their unit. So that a policy can compare and evict them
        like any other, they have patch indices of their own, behind the grid's: first the text
        after the grid, then the text before it, counted away from the grid. The same index is thus
        the same word in each unit, however long a timestamp gets.
        """
        return Around([], [])

    def unit_tokens(self, grid: Grid) -> int:
        """The most tokens that a unit of this grid has, with its text."""
        return grid.tokens + sum(self.text_room)

    def unit_patches(self, grid: Grid, before: int, after: int) -> Tensor:
        """Patch indices, int32 `[tokens]`, of a unit with so many tokens of text around it."""
        patches = torch.arange(grid.tokens + after, dtype=torch.int32, device=self.device)
        if not before:
            return patches
        behind = grid.tokens + self.text_room[1]
        lead = torch.arange(behind, behind + before, dtype=torch.int32, device=self.device)
        return torch.cat((lead.flip(0), patches))

    def unit_positions(
        self, prefix: int, start: int, grid: Grid, before: int, after: int
    ) -> Tensor:
        """Positions `[position_axes, tokens]` of a unit with so many tokens of text around it,
        whose first position along time is `start`."""
        visual = self.visual_positions(prefix, start + before, grid)
        if not before and not after:
            return visual
        end = self.text_start(prefix, int(visual.max()), grid)
        lead = self.text_positions(start, before)
        return torch.cat((lead, visual, self.text_positions(end, after)), dim=1)

    def unit_embeddings(self, visual: Tensor, text: Around) -> Tensor:
        """The visual tokens `[tokens, hidden]` of a unit with the text around them."""
        if not text.before and not text.after:
            return visual
        return torch.cat((self.embed(text.before), visual, self.embed(text.after)))

    def slot(self, grid: Grid) -> tuple[Tensor, int]:
        """The place along time of each patch index in a unit, int32 `[unit_tokens]`, and how many
        positions along time a unit takes at most."""
        positions = self.unit_positions(0, 0, grid, *self.text_room)[0]
        places = torch.empty(self.unit_tokens(grid), dtype=torch.int32, device=self.device)
        places[self.unit_patches(grid, *self.text_room)] = positions.int()
        return places, int(positions.max()) + 1

    # -- positions ------------------------------------------------------------------------------

    def time_position(self, units: int, seconds: float, grid: Grid) -> int | None:
        """The first position of the unit that comes `units` units and `seconds` seconds after
        the one at position 0. None: the first that is free, whatever came before."""
        return None

    def time_stride(self, tokens_per_unit: int) -> int:
        """How many positions along time one unit takes at least."""
        return tokens_per_unit

    def visual_positions(self, prefix: int, start: int, grid: Grid) -> Tensor:
        """Positions `[position_axes, tokens]` of the visual tokens of a unit, the first of them
        along time `start`, after `prefix` tokens of text; the first axis is time."""
        return self.text_positions(start, grid.tokens)

    def text_start(self, prefix: int, highest: int, grid: Grid) -> int:
        """The position of the first token after visual tokens that reach up to `highest`."""
        return highest + 1

    def highest_after(self, prefix: int, end: int, grid: Grid) -> int:
        """The highest position on any axis once units fill those along time up to `end`."""
        return max(end, prefix + max(grid.rows, grid.columns)) - 1

    def time_frequencies(self) -> Tensor:
        """Radians per position along time of each rotary pair, float32 `[head_dim / 2]`; 0 for a
        pair that another axis turns and that stays as it is when a unit moves along time."""
        frequencies: Tensor = self._decoder.rotary_emb.inv_freq
        return frequencies.float()

    def spatial_angles(self, grid: Grid) -> Tensor:
        """Radians by which each patch index of a unit is turned beside what its position along time
        does, float32 `[unit_tokens, head_dim / 2]`; 0 where there is one axis."""
        frequencies = self.time_frequencies()
        angles = frequencies.new_zeros(self.unit_tokens(grid), len(frequencies))
        if self.position_axes > 1:
            positions = self.unit_positions(0, 0, grid, *self.text_room)
            cos, sin = self._decoder.rotary_emb(angles, positions[:, None])
            turned = torch.atan2(sin, cos)[0, :, : len(frequencies)]
            turned = turned - positions[0, :, None] * frequencies
            angles[self.unit_patches(grid, *self.text_room).long()] = turned
        return angles

    def text_positions(self, start: int, tokens: int) -> Tensor:
        """Positions `[position_axes, tokens]` of text."""
        positions = torch.arange(start, start + tokens, device=self.device)
        return positions.expand(self.position_axes, tokens)

    # -- the language model ---------------------------------------------------------------------

    @property
    def _decoder(self) -> Any:
        """The decoder layers, without the LM head."""
        return self.model.model.language_model

    @cached_property
    def device(self) -> torch.device:
        return torch.device(self.model.device)

    @cached_property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.model.dtype
        return dtype

    def embed(self, ids: list[int]) -> Tensor:
        """Token ids as embeddings `[tokens, hidden]`."""
        tensor = torch.tensor(ids, dtype=torch.long, device=self.device)
        embedded: Tensor = self.model.get_input_embeddings()(tensor)
        return embedded

    def forward(self, embeddings: Tensor, positions: Tensor, packed: PackedCache | None) -> Tensor:
        """The decoder layers over a row of `[tokens, hidden]` at `positions`
        `[position_axes, tokens]`, over and into the memories of `packed`; without it, plainly
        causal. Returns hidden states `[tokens, hidden]`; never runs the LM head."""
        outputs = self._decoder(
            **self._decoder_inputs(embeddings),
            position_ids=positions if self.position_axes == 1 else positions[:, None],
            attention_mask={"full_attention": None} if self._mask_by_kind else None,
            past_key_values=packed,
            use_cache=packed is not None,
            packed=packed,
        )
        hidden: Tensor = outputs.last_hidden_state[0]
        return hidden

    def _decoder_inputs(self, embeddings: Tensor) -> dict[str, Any]:
        """Embeddings `[tokens, hidden]` as the decoder's arguments."""
        return {"inputs_embeds": embeddings[None]}

    def logits(self, hidden: Tensor) -> Tensor:
        """The LM head: `[tokens, hidden]` to float32 `[tokens, vocabulary]`."""
        logits: Tensor = self.model.lm_head(hidden).float()
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
        """See `ChatTemplate.uncontrolled`."""
        return self._template.uncontrolled(text)

    def conversation(
        self, turns: list[Turn], question: str, instructions: str = ""
    ) -> tuple[list[int], list[int]]:
        """The token ids before and after the visual tokens of a conversation about one video.

        The first half depends on the `instructions` (the system prompt) alone. Raises ModelError
        where the chat template has no single place for a video, and ValueError where it has none
        for instructions.
        """
        text = self._template.render(turns, question, instructions)
        begun = text.startswith(self.tokenizer.bos_token or "\0")
        special = self.adds_special_tokens and not begun
        ids: list[int] = self.tokenizer(text, add_special_tokens=special).input_ids
        video = self.config.video_token_id
        check_places(ids.count(video))
        place = ids.index(video)
        return ids[:place], ids[place + 1 :]


def check_places(found: int) -> None:
    """Raises ModelError unless a chat template gave one place for a video."""
    if found != 1:
        raise ModelError(
            f"the chat template gives {found} video tokens for one video; it must "
            "render {'type': 'video'} as exactly one video token"
        )
