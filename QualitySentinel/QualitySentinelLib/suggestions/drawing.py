"""What the network draws of the reference while it scores a slice, kept as it comes: 8 kB a slice."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..scores import SliceScore

WHOLE = 255
"""A share of 1."""


@dataclass(frozen=True)
class Drawing:
    """The reference that the network expects in one slice."""

    # what was judged: the crop, ``(row start, row stop, column start, column stop)`` in pixel edges of the canonical
    # slice, fractional, perhaps reaching outside the CT
    box: tuple[float, float, float, float]
    # uint8 ``[2, s, s]``, :data:`WHOLE` is 1: in each cell of the crop, the share of the mask that belongs to the
    # reference, and the share of the rest that does
    shares: np.ndarray
    digest: str  # of the mask that was judged, as in the slice's score

    def on_grid(self, shape: tuple[int, ...]) -> tuple[tuple[int, int], np.ndarray]:
        """The shares at the pixels of the CT whose centers were judged.

        A pixel has the mean of the cells that it covers; pixels smaller than a cell are interpolated linearly.

        Returns:
            row and column of the first pixel, and float32 ``[2, rows, columns]`` in 0..1.
        """
        cells, (row_start, row_stop, column_start, column_stop) = self.shares.shape[1], self.box
        top, rows = _weights(row_start, row_stop, shape[0], cells)
        left, columns = _weights(column_start, column_stop, shape[1], cells)
        return (top, left), (rows @ (self.shares.astype(np.float32) / WHOLE)) @ columns.T


@dataclass
class Drawings:
    """The drawings of a case's slices, for a scoring to fill (``Scorer.run(..., drawings=...)``)."""

    complete: bool = True  # a scoring runs slices that have none here once more, although their score is known
    _kept: dict[tuple[str, int], Drawing] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, segment_id: str, k: int, drawing: Drawing) -> None:
        """Keep the drawing of canonical slice ``k`` in place of an earlier one."""
        self._kept[segment_id, k] = drawing

    def of(self, score: SliceScore | None) -> Drawing | None:
        """The drawing that was made with this score; ``None`` when there is none, or only one of another mask."""
        found = None if score is None else self._kept.get((score.segment_id, score.k))
        return found if found is not None and found.digest == score.digest else None


def _weights(start: float, stop: float, size: int, cells: int) -> tuple[int, np.ndarray]:
    """The first of ``size`` pixels whose center lies in ``start..stop``, and float32 weights ``[pixels, cells]``.

    A pixel's weights are the overlaps of the cells with an interval around its center, as long as the pixel, or as one
    cell where that is longer.
    """
    first, end = max(0, int(np.ceil(start - 0.5))), min(size, int(np.floor(stop - 0.5)) + 1)
    scale = cells / (stop - start)
    centers = (np.arange(first, end) + 0.5 - start) * scale
    reach, edges = max(scale, 1.0) / 2, np.arange(cells)
    weights = np.minimum(centers[:, None] + reach, edges + 1) - np.maximum(centers[:, None] - reach, edges)
    weights = np.maximum(weights, 0.0)
    return first, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
