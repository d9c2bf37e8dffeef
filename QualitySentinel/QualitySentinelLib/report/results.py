"""Everything that scoring a case leaves in a folder: the same files from the command line and from the panel."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..files import whole_folder
from ..scores import CaseScore, write_report_json, write_segments_csv, write_slices_csv
from ..volume import CtVolume, Segmentation
from .html_report import write_html_report
from .scored_segmentation import write_scored_segmentation


def write_results(
    folder: str | os.PathLike,
    case_score: CaseScore,
    ct: CtVolume,
    segmentation: Segmentation,
    inputs: Mapping | None = None,
    options: Mapping | None = None,
    total_seconds: float | None = None,
) -> None:
    """Write ``segments.csv``, ``slices.csv``, ``scored.seg.nrrd``, ``report.html`` and ``report.json``: all or none.

    Args:
        folder: made when missing; files of an earlier run are replaced.
        inputs, options, total_seconds: as :func:`~..scores.write_report_json` takes them.

    Raises:
        InputError: the folder cannot be written or the disk is full; what was there before is left as it was.
    """
    with whole_folder(folder) as new:
        write_segments_csv(new / "segments.csv", case_score)
        write_slices_csv(new / "slices.csv", case_score)
        write_scored_segmentation(new / "scored.seg.nrrd", segmentation, case_score)
        write_html_report(new / "report.html", case_score, ct, segmentation)
        write_report_json(new / "report.json", case_score, inputs=inputs, options=options, total_seconds=total_seconds)
