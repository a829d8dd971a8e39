"""What families share that write words between frames: timestamps, numbers, separators.

The words around a unit are part of the unit, see `FamilyAdapter.unit_text`: they are remembered,
compared and evicted with its visual tokens. They are written when the unit comes, so that nothing
of them may depend on frames to come.
"""

from abc import abstractmethod
from functools import cached_property

from model_worker.checkpoint import Checkpoint
from model_worker.families.base import Around, FamilyAdapter, check_places
from model_worker.families.template import Turn

# Three years of seconds, or of frames at one a second. Where clocks and counters stand still, so
# that the words around a unit have a greatest length.
FAR = 99_999_999


class Interleaved(FamilyAdapter):
    """A family whose units follow one another with words between them.

    `opening` and `ending` are the words before the first and after the last unit.
    """

    opening: str = ""
    ending: str = ""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        self._template.keep(self.video_text)

    @property
    @abstractmethod
    def video_text(self) -> str:
        """What the chat template writes for a video."""

    @abstractmethod
    def words(self, index: int, seconds: list[float]) -> tuple[str, str]:
        """The words before and after the unit that is number `index` (from 0) in the stream and
        whose frames came `seconds` after the first; neither is beyond `FAR`."""

    @cached_property
    def text_room(self) -> tuple[int, int]:  # type: ignore[override]
        """The most tokens of text before and after a unit."""
        figures = [FAR % 10**digits for digits in range(1, len(str(FAR)) + 1)]
        texts = [
            self.unit_text(figure, [figure + 0.9] * self.frames_per_unit) for figure in figures
        ]
        return max(len(text.before) for text in texts), max(len(text.after) for text in texts)

    def unit_text(self, index: int, seconds: list[float]) -> Around:
        """See `FamilyAdapter.unit_text`."""
        before, after = self.words(min(index, FAR), [min(time, float(FAR)) for time in seconds])
        return Around(self._ids(before), self._ids(after))

    def conversation(
        self, turns: list[Turn], question: str, instructions: str = ""
    ) -> tuple[list[int], list[int]]:
        """See `FamilyAdapter.conversation`. The opening belongs to the first half, the ending to
        the second."""
        halves = self._template.render(turns, question, instructions).split(self.video_text)
        check_places(len(halves) - 1)
        return self._ids(halves[0] + self.opening), self._ids(self.ending + halves[1])

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        return ids
