"""Everything that scoring a case leaves in a folder: the same files from the command line and from the panel."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..files import atomic_folder
from ..review import ReviewSession, review_document, score_tables
from ..scores import CaseScore, write_report_json
from ..scores.tables import write_table
from ..suggestions import Drawings, suggested_segments
from ..volume import CtVolume, Segmentation
from .html_report import write_html_report
from .scored_segmentation import write_scored_segmentation

ERRORS_FILE = "errors.seg.nrrd"


def write_results(
    folder: str | os.PathLike,
    case_score: CaseScore,
    ct: CtVolume,
    segmentation: Segmentation,
    inputs: Mapping | None = None,
    options: Mapping | None = None,
    total_seconds: float | None = None,
    session: ReviewSession | None = None,
    drawings: Drawings | None = None,
    error_maps: bool = False,
) -> None:
    """Write ``segments.csv``, ``slices.csv``, ``scored.seg.nrrd``, ``report.html`` and ``report.json``: all or none.

    Args:
        folder: made when missing; files of an earlier run are replaced.
        inputs, options, total_seconds: as :func:`~..scores.write_report_json` takes them.
        session: the review of these scores, in their place: what the reader accepted and corrected is written, too.
        drawings: filled by the scoring: the report's pictures then show the expected contours.
        error_maps: with ``drawings``, also write ``errors.seg.nrrd``; without, an earlier one is removed.

    Raises:
        InputError: the folder cannot be written or the disk is full; what was there before is left as it was.
    """
    case = case_score if session is None else session.case
    with atomic_folder(folder) as new:
        for name, table in zip(("segments.csv", "slices.csv"), score_tables(case, session), strict=True):
            write_table(new / name, *table)
        accepted = None if session is None else session.accepted_counts()
        write_scored_segmentation(new / "scored.seg.nrrd", segmentation, case, accepted=accepted)
        write_html_report(new / "report.html", case, ct, segmentation, drawings=drawings)
        if error_maps and drawings is not None:
            errors = suggested_segments(case, segmentation, drawings)
            write_scored_segmentation(new / ERRORS_FILE, errors, CaseScore([], case.threshold))
        review = None if session is None else review_document(session)
        write_report_json(new / "report.json", case, inputs, options, total_seconds=total_seconds, review=review)
    if not error_maps:
        (Path(folder) / ERRORS_FILE).unlink(missing_ok=True)  # of an earlier run: it would not fit these scores
