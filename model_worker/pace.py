"""How many frames a turn may take, so that answers do not stutter; knows seconds, no sessions."""

from typing import Final

SLACK: Final = 1.5
"""What frames may add to a turn in which an answer is written, in steps of that answer."""
_WEIGHT: Final = 0.2  # of the newest measurement


class Pace:
    """Learns what an answer's step and a frame cost on this device, from the turns themselves.

    While nothing is written, a turn takes up to `most` frames; while something is, as many as fit
    into SLACK steps, and at least one.
    """

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ValueError(f"a turn takes at least one frame, not {most}")
        self._most = most
        self._step_seconds: float | None = None
        self._frame_seconds: float | None = None

    def frames(self, *, answering: bool) -> int:
        """The most frames that the next turn may take."""
        if not answering or self._step_seconds is None or not self._frame_seconds:
            return 1 if answering else self._most
        fit = int(SLACK * self._step_seconds / self._frame_seconds)
        return max(1, min(fit, self._most))

    def note(self, seconds: float, frames: int, *, answering: bool) -> None:
        """A turn took `seconds`, with so many frames and with or without an answer's step."""
        if answering and frames == 0:
            self._step_seconds = _mixed(self._step_seconds, seconds)
        elif frames > 0:
            step = (self._step_seconds or 0.0) if answering else 0.0
            self._frame_seconds = _mixed(self._frame_seconds, max(0.0, seconds - step) / frames)


def _mixed(old: float | None, new: float) -> float:
    return new if old is None else old + _WEIGHT * (new - old)
