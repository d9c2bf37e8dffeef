"""Needs ``slicer``. Which colors the masks have in the views: by slice, by segment, or their own."""

from __future__ import annotations

from ..errors import UsageError
from ..review import ReviewPresenter
from ..scene import hide_quality_map, restore_colors, show_quality_map, show_score_colors, update_quality_map

SLICES, SEGMENTS, OWN = "slices", "segments", "own"
MODES = (SLICES, SEGMENTS, OWN)


class Coloring:
    """Keeps the colors in the views up to date with the scores of a review.

    Attributes:
        mode: one of :data:`MODES`.
    """

    def __init__(self, segmentation_node, volume_node, presenter: ReviewPresenter) -> None:
        self._segmentation_node, self._volume_node = segmentation_node, volume_node
        self._presenter = presenter
        self._shown: tuple = ()
        self.mode = SLICES

    def set_mode(self, mode: str) -> None:
        """Color by slice (the quality map), by segment, or as the file has it.

        Raises:
            UsageError: there is no such mode.
        """
        if mode not in MODES:
            raise UsageError(f"{mode}: no such coloring; choose one of {', '.join(MODES)}")
        self.mode = mode

    def is_due(self, masks: object, visible: object, k: int | None) -> bool:
        """Whether something has changed since :meth:`update`.

        Args:
            masks: what stands for the masks as they are; another value when one was edited.
            visible: which segments are shown; another value when that has changed.
            k: canonical slice of the axial view: where each slice has its color, outlines have that of this one.
        """
        return self._state(masks, visible, k) != self._shown

    def update(self, masks: object, visible: object, k: int | None) -> None:
        """Color anew; arguments as for :meth:`is_due`."""
        case, scale = self._presenter.session.case, self._presenter.scale
        before, self._shown = self._shown, self._state(masks, visible, k)
        if self.mode == OWN:
            restore_colors(self._segmentation_node)
        else:
            show_score_colors(self._segmentation_node, case, scale, k if self.mode == SLICES else None)
        if self.mode != SLICES:
            hide_quality_map(self._segmentation_node)
        elif before[:2] != self._shown[:2]:
            show_quality_map(self._segmentation_node, self._volume_node, case, scale)
        elif before[:-1] != self._shown[:-1]:
            update_quality_map(self._segmentation_node, self._volume_node, case)

    def _state(self, masks: object, visible: object, k: int | None) -> tuple:
        scores = [(s.segment_id, s.predicted_dsc, s.n_scored, s.status) for s in self._presenter.session.case.segments]
        return self.mode, self._presenter.scale, scores, masks, visible, k if self.mode == SLICES else None
