"""What families share that squeeze every frame to one size."""

from model_worker.families.base import FamilyAdapter, Grid


class FixedGrid(FamilyAdapter):
    """A family with one grid, whatever arrives; it sets `_grid` when it is made."""

    _grid: Grid

    @property
    def frame_size(self) -> tuple[int, int] | None:
        return self._grid.width, self._grid.height

    @property
    def max_pixels(self) -> int:
        return self._grid.width * self._grid.height

    @property
    def most_tokens_per_unit(self) -> int:
        return self.unit_tokens(self._grid)

    def grid(self, width: int, height: int) -> Grid:
        return self._grid
