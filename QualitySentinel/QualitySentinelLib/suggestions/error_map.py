"""The error map of one slice on the CT's grid."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ..volume import Segment
from .drawing import Drawing

DEFAULT_THRESHOLD = 0.5
"""Pixels more probably wrong than this are suggested to be changed (docs/ERROR_MAPS.md says how it was chosen)."""


class Kind(StrEnum):
    """What a suggestion does."""

    REMOVE = "remove"
    ADD = "add"


@dataclass(frozen=True)
class ErrorMap:
    """Where the mask of one slice is probably wrong. What lies outside the arrays was not judged.

    Attributes:
        k: canonical slice.
        corner: row and column of the arrays' first pixel.
        mask: bool ``[rows, columns]``, the mask that was judged.
        wrong: float32 ``[rows, columns]``, probability that the mask wrongly includes the pixel; 0 outside the mask.
        missing: float32 ``[rows, columns]``, probability that the mask misses the pixel; 0 inside the mask.
    """

    k: int
    corner: tuple[int, int]
    mask: np.ndarray
    wrong: np.ndarray
    missing: np.ndarray

    def suggested(self, kind: Kind, threshold: float = DEFAULT_THRESHOLD) -> np.ndarray:
        """Pixels to remove, or to add, bool ``[rows, columns]``."""
        return (self.wrong if kind is Kind.REMOVE else self.missing) > threshold

    def expected(self, threshold: float = DEFAULT_THRESHOLD) -> np.ndarray:
        """The mask with every suggestion applied, bool ``[rows, columns]``: its outline is the expected contour."""
        return (self.mask & ~self.suggested(Kind.REMOVE, threshold)) | self.suggested(Kind.ADD, threshold)


def error_map(drawing: Drawing | None, segment: Segment, k: int, shape: tuple[int, int]) -> ErrorMap | None:
    """The error map of canonical slice ``k``.

    Args:
        drawing: what the network drew; of an empty slice, around the nearest slice of the mask.
        segment: the mask that was judged.
        k: the slice.
        shape: rows and columns of the CT.

    Returns:
        ``None`` when there is no drawing, or the mask is another by now.
    """
    if drawing is None:
        return None
    held = segment.slice_mask(k).any()
    if held and segment.slice_digest(k) != drawing.digest:
        return None
    corner, (inside, outside) = drawing.on_grid(shape)
    mask = np.zeros(inside.shape, bool)
    if held:
        _paste(mask, segment.slice_mask(k), tuple(s.start - c for s, c in zip(segment.box[1:], corner, strict=True)))
    return ErrorMap(k, corner, mask, np.where(mask, 1.0 - inside, 0.0), np.where(mask, 0.0, outside))


def _paste(target: np.ndarray, source: np.ndarray, at: tuple[int, int]) -> None:
    """Write ``source``, whose first pixel is pixel ``at`` of ``target``, as far as it lies inside."""
    inner = tuple(slice(max(0, a), max(0, a + n)) for a, n in zip(at, source.shape, strict=True))
    shown = target[inner]
    shown[...] = source[tuple(slice(max(0, -a), max(0, -a) + n) for a, n in zip(at, shown.shape, strict=True))]
