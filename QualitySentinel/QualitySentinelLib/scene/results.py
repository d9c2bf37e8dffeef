"""Needs ``slicer``. The results of a scoring: shown in the scene, and written to files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..scores import CaseScore
from .colors import show_score_colors
from .ct_node import ct_from_node
from .nodes import source_of
from .segmentation_node import segmentation_from_node
from .tables import update_tables
from .tags import write_score_tags

if TYPE_CHECKING:
    from ..review import ReviewSession
    from ..suggestions import Drawings


def apply_scores(segmentation_node, case_score: CaseScore, colors: bool = True) -> tuple:
    """Show scores in the scene: segment tags, two tables, and, reversibly, segments colored by quality.

    Returns:
        table nodes of segments and of slices; those of an earlier score are filled anew.
    """
    write_score_tags(segmentation_node, case_score)
    if colors:
        show_score_colors(segmentation_node, case_score)
    return update_tables(segmentation_node, case_score)


def export_results(
    volume_node,
    segmentation_node,
    case_score: CaseScore,
    folder: str | os.PathLike,
    session: ReviewSession | None,
    drawings: Drawings | None = None,
) -> None:
    """Write what :func:`~..report.write_results` writes; error maps, too, when there are drawings."""
    from ..report import write_results  # brings Matplotlib

    ct = ct_from_node(volume_node)
    segmentation = segmentation_from_node(segmentation_node, volume_node)
    inputs = {"ct": source_of(volume_node), "seg": source_of(segmentation_node)}
    write_results(
        folder, case_score, ct, segmentation, inputs, session=session, drawings=drawings, error_maps=bool(drawings)
    )
