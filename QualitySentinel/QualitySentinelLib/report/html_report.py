"""``report.html``: one page about one case that holds all it needs and asks no network for anything."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from ..colors import NO_SCORE_COLOR, SCALES, css_color
from ..files import atomic_write
from ..scores import CaseScore, SegmentScore, SliceScore, dsc_color, segment_labels, software_versions
from ..scores.aggregation import flagged_of_correct
from ..suggestions import Drawings, ErrorMap, error_map
from ..volume import CtVolume, Segmentation
from .drawing import MISSED_COLOR
from .overview import overview_pictures
from .plot import dsc_plot, dsc_strip
from .slice_picture import PICTURE_PX, slice_picture, worst_slices
from .text import case_title, environment, file_name, printable

_TOP_PICTURES = 10
"""Two rows of them on a usual screen."""
_MOST_MARKS = 20000
"""With more slices than this in a case, plots mark only the flagged ones: marks are what makes the page large."""


def write_html_report(
    path: str | os.PathLike,
    case_score: CaseScore,
    ct: CtVolume,
    segmentation: Segmentation,
    *,
    drawings: Drawings | None = None,
    created: datetime | None = None,
) -> Path:
    """Write the report of a case, scored and flagged, as one self-contained page; masks are read a slice at a time.

    ``drawings`` are filled by the scoring: pictures then show the expected contour. ``created`` is now by default.
    """
    labels = {i: printable(label) for i, label in segment_labels(case_score.segments).items()}
    ordered = case_score.worst_first()
    ranks = {s.segment_id: n for n, s in enumerate(ordered, start=1)}
    pictures = _pictures(case_score, ct, segmentation, drawings or Drawings())
    mark_all = sum(s.n_scored for s in ordered) <= _MOST_MARKS
    page = environment().get_template("template.html").render(
        case=case_score,
        title=printable(case_title(ct.source) or "CT"),
        ct_name=file_name(ct.source),
        segmentation_name=file_name(segmentation.source),
        created=created or datetime.now().astimezone(),
        versions=software_versions(),
        warnings=list(dict.fromkeys([*case_score.warnings, *ct.warnings, *segmentation.warnings])),
        scales=SCALES,
        missed_color=MISSED_COLOR,
        no_score_color=NO_SCORE_COLOR,
        rows=[
            _row(s, labels[s.segment_id], rank, case_score.threshold_of(s), pictures.get(s.segment_id, []), mark_all)
            for rank, s in enumerate(ordered, start=1)
        ],
        most_on_top=_TOP_PICTURES,
        overview=overview_pictures(case_score, ct, segmentation, ranks),
        picture_px=PICTURE_PX,
        shows_expected=any(p["expected"] == "contour" for one in pictures.values() for p in one),
        has_interval=any(low is not None for s in ordered for low in (s.dsc_low, *(x.dsc_low for x in s.slices))),
        coverage=(case_score.model.get("calibration") or {}).get("coverage"),
        flagged_of_correct=flagged_of_correct(case_score),
        own_thresholds=case_score.thresholds_in_use,
    )
    return atomic_write(path, page)


def _row(segment: SegmentScore, label: str, rank: int, threshold: float, pictures: list[dict], mark_all: bool) -> dict:
    return {
        "score": segment,
        "label": label,
        "structure": segment.structure if segment.structure and segment.structure.lower() != label.lower() else "",
        "rank": rank,
        "colors": _colors(segment.predicted_dsc),
        "threshold": threshold,
        "below": segment.predicted_dsc is not None and segment.predicted_dsc < threshold,
        "strips": {scale: dsc_strip(segment, scale) for scale in SCALES} if segment.slices else {},
        "plot": dsc_plot(segment, label, threshold, mark_all) if segment.slices else "",
        "pictures": pictures,
    }


def _pictures(
    case_score: CaseScore, ct: CtVolume, segmentation: Segmentation, drawings: Drawings
) -> dict[str, list[dict]]:
    """Pictures of the worst slices by segment id, worst first."""
    segments = {s.id: s for s in segmentation}
    pictures: dict[str, list[dict]] = {}
    for segment_id, chosen in worst_slices(case_score.segments).items():
        segment = segments.get(segment_id)
        for slice_score in chosen:
            k = _canonical_slice(slice_score, ct)
            masked = k if slice_score.has_mask else slice_score.nearest_k
            if segment is None or k is None or masked not in segment.occupied_slices():
                continue
            errors = error_map(drawings.of(slice_score), segment, k, ct.frame.shape[1:])
            picture = slice_picture(ct, segment, k, mask_from=slice_score.nearest_k, errors=errors)
            entry = {
                "uri": picture.uri, "window": picture.window.name, "slice": slice_score,
                "expected": _expected(errors), "colors": _colors(slice_score.predicted_dsc),
            }  # fmt: skip
            pictures.setdefault(segment_id, []).append(entry)
    return pictures


def _expected(errors: ErrorMap | None) -> str:
    """What the model expects in a slice: another ``contour``, ``nothing``, or, if it is as the mask, an empty text."""
    if errors is None or (errors.expected() == errors.mask).all():
        return ""
    return "contour" if errors.expected().any() else "nothing"


def _colors(dsc: float | None) -> dict[str, str]:
    """The color of a DSC by scale, as CSS has it: the reader chooses the scale in the page."""
    return {scale: css_color(dsc_color(dsc, scale)) for scale in SCALES}


def _canonical_slice(slice_score: SliceScore, ct: CtVolume) -> int | None:
    """Where the slice lies in the canonical frame, checked by its position.

    A model whose preset takes slices in the file's order numbers them so; when these are not axial, there is none.
    """
    for k in (slice_score.k, ct.frame.file_slice(slice_score.slice_index)):
        inside = 0 <= k < ct.frame.shape[0]
        if inside and abs(ct.frame.position_mm(k) - slice_score.position_mm) <= ct.frame.spacing[0] / 2:
            return int(k)
    return None
