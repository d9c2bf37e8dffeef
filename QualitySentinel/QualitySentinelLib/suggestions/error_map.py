"""The error map of one slice on the CT's grid."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ..scores import SegmentScore
from ..volume import Segment
from ..volume.segmentation import paste
from .drawing import Drawing, Drawings

DEFAULT_THRESHOLD = 0.3
"""The expected mask holds the pixels that belong to the structure with more than this probability.

Of all masks, that with the best expected DSC holds what is more probable than half of that DSC (Lipton et al. 2014).
docs/ERROR_MAPS.md has the measurement by which it was chosen.
"""


class Kind(StrEnum):
    """What a suggestion does."""

    REMOVE = "remove"
    ADD = "add"


@dataclass(frozen=True)
class ErrorMap:
    """Where the mask of one slice is probably wrong, ``[rows, columns]``. What lies outside was not judged."""

    k: int  # canonical
    corner: tuple[int, int]  # row and column of the first pixel
    mask: np.ndarray  # bool: the mask that was judged
    wrong: np.ndarray  # float32: probability that the mask wrongly includes the pixel; 0 outside the mask
    missing: np.ndarray  # float32: probability that the mask misses the pixel; 0 inside the mask

    def expected(self, threshold: float = DEFAULT_THRESHOLD) -> np.ndarray:
        """The expected mask, bool ``[rows, columns]``: the pixels more probable than ``threshold``, 0..1."""
        return np.where(self.mask, 1.0 - self.wrong, self.missing) > threshold

    def suggested(self, kind: Kind, threshold: float = DEFAULT_THRESHOLD) -> np.ndarray:
        """Pixels to remove from the mask, or to add, bool ``[rows, columns]``: then it is the expected one."""
        expected = self.expected(threshold)
        return self.mask & ~expected if kind is Kind.REMOVE else expected & ~self.mask


def error_map(drawing: Drawing | None, segment: Segment, k: int, shape: tuple[int, ...]) -> ErrorMap | None:
    """The error map of canonical slice ``k``.

    Args:
        drawing: of an empty slice, around the nearest slice of the mask.
        segment: the mask that was judged.
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
        paste(mask, segment.slice_mask(k), tuple(s.start - c for s, c in zip(segment.box[1:], corner, strict=True)))
    return ErrorMap(k, corner, mask, np.where(mask, 1.0 - inside, 0.0), np.where(mask, 0.0, outside))


def error_maps(
    score: SegmentScore, segment: Segment, drawings: Drawings, shape: tuple[int, ...]
) -> list[ErrorMap]:
    """The error maps of a segment's scored slices, and of those that it seems to miss; ascending.

    Slices without a drawing, or whose mask has changed since, have none. Arguments as for :func:`error_map`.
    """
    maps = (error_map(drawings.of(s), segment, s.k, shape) for s in score.listed_slices)
    return [found for found in maps if found is not None]
