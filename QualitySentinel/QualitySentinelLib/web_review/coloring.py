"""Needs ``slicer``. Which colors the masks have in the views: by slice, by segment, or their own."""

from __future__ import annotations

from ..errors import UsageError
from ..scene import hide_quality_map, restore_colors, show_quality_map, show_score_colors, update_quality_map
from ..scores import CaseScore
from ..scores.colors import DEFAULT_SCALE, check_scale

SLICES, SEGMENTS, OWN = "slices", "segments", "own"
MODES = (SLICES, SEGMENTS, OWN)


class Coloring:
    """Keeps the colors in the views up to date with the scores.

    Attributes:
        mode: one of :data:`MODES`.
        scale: name of the color scale.
    """

    def __init__(self, segmentation_node, volume_node) -> None:
        self._segmentation_node, self._volume_node = segmentation_node, volume_node
        self._shown: tuple = ()
        self.mode, self.scale = SLICES, DEFAULT_SCALE

    def set_mode(self, mode: str) -> None:
        """Color by slice (the quality map), by segment, or as the file has it.

        Raises:
            UsageError: there is no such mode.
        """
        if mode not in MODES:
            raise UsageError(f"{mode}: no such coloring; choose one of {', '.join(MODES)}")
        self.mode = mode

    def set_scale(self, scale: str) -> None:
        """Use another color scale.

        Raises:
            UsageError: there is no such scale.
        """
        check_scale(scale)
        self.scale = scale

    def is_due(self, case: CaseScore, masks: object, visible: object, k: int | None) -> bool:
        """Whether something has changed since :meth:`update`.

        Args:
            case: the scores.
            masks: what stands for the masks as they are; another value when one was edited.
            visible: which segments are shown; another value when that has changed.
            k: canonical slice of the axial view: where each slice has its color, outlines have that of this one.
        """
        return self._state(case, masks, visible, k) != self._shown

    def update(self, case: CaseScore, masks: object, visible: object, k: int | None) -> None:
        """Color anew; arguments as for :meth:`is_due`."""
        before, self._shown = self._shown, self._state(case, masks, visible, k)
        if self.mode == OWN:
            restore_colors(self._segmentation_node)
        else:
            show_score_colors(self._segmentation_node, case, self.scale, k if self.mode == SLICES else None)
        if self.mode != SLICES:
            hide_quality_map(self._segmentation_node)
        elif before[:2] != self._shown[:2]:
            show_quality_map(self._segmentation_node, self._volume_node, case, self.scale)
        elif before[:-1] != self._shown[:-1]:
            update_quality_map(self._segmentation_node, self._volume_node, case)

    def _state(self, case: CaseScore, masks: object, visible: object, k: int | None) -> tuple:
        scores = [(s.segment_id, s.predicted_dsc, s.n_scored, s.status) for s in case.segments]
        return self.mode, self.scale, scores, masks, visible, k if self.mode == SLICES else None
