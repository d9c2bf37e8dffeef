"""What the page shows of a review, as plain dictionaries and lists. Knows no trame; draws what the session says."""

from __future__ import annotations

from ..review import ReviewSession, StripPoint, verdict
from ..scores import SegmentScore, Status, dsc_color
from ..scores.colors import DEFAULT_SCALE, SCALES, css_color

Color = str
"""``#rrggbb``."""


def hex_color(dsc: float | None, scale: str = DEFAULT_SCALE) -> Color:
    """The color of a predicted DSC, as the page's style sheet has it."""
    return css_color(dsc_color(dsc, scale))


def legend(scale: str = DEFAULT_SCALE) -> str:
    """The color scale from DSC 0 to 1, as a CSS gradient."""
    stops = ", ".join(f"{hex_color(dsc, scale)} {100 * dsc:g}%" for dsc, _ in SCALES[scale])
    return f"linear-gradient(to right, {stops})"


def rows(session: ReviewSession, scale: str = DEFAULT_SCALE) -> list[dict[str, object]]:
    """The table, worst segment first."""
    labels = session.labels
    return [_row(session, segment, labels[segment.segment_id], scale) for segment in session.segments]


def _row(session: ReviewSession, segment: SegmentScore, label: str, scale: str) -> dict[str, object]:
    counts = session.segment_counts(segment.segment_id)
    return {
        "id": segment.segment_id,
        "name": " ".join(label.split()),
        "hint": _hint(segment),
        "dsc": _two_places(segment.predicted_dsc) + " ?" * segment.is_unknown,
        "color": hex_color(segment.predicted_dsc, scale),
        "flagged": counts.flagged,
        "missed": counts.missed,
        "open": counts.open,
        "done": counts.progress.total > 0 and not counts.open,
        "scored": segment.predicted_dsc is not None,
    }


def _hint(segment: SegmentScore) -> str:
    """One line on what the row leaves out."""
    if segment.status is Status.EMPTY:
        return "this segment is empty"
    known = f"read as {segment.structure}"
    if segment.is_unknown or not segment.structure:
        known = "unknown structure: scored without knowing what it is, so trust the score less"
    scored = f"{segment.n_scored} of {segment.n_slices} slices scored"
    bounds = ""
    if segment.dsc_low is not None and segment.dsc_high is not None:
        bounds = f"; DSC probably {segment.dsc_low:.2f} to {segment.dsc_high:.2f}"
    return f"{known}; {scored}{bounds}"


def strip(session: ReviewSession, segment_id: str | None, scale: str = DEFAULT_SCALE) -> dict[str, object]:
    """The strip plot of a segment: one bar for each slice, inferior on the left."""
    points = session.strip(segment_id) if segment_id is not None else ()
    if not points:
        return {"name": "" if segment_id is None else session.labels[segment_id], "first": 0, "n": 1, "points": []}
    first, last = points[0].k, points[-1].k
    return {
        "name": " ".join(session.labels[segment_id].split()),
        "first": first,
        "n": last - first + 1,
        "points": [_bar(point, scale) for point in points],
    }


def _bar(point: StripPoint, scale: str) -> dict[str, object]:
    return {
        "k": point.k,
        "dsc": round(point.dsc, 4),
        "color": hex_color(point.dsc, scale),
        "missed": point.missed,
        "mark": mark_of(point),
        "edit": "" if point.edit is None else point.edit.effect,
        "title": f"slice {point.slice_index}, S {point.position_mm:.1f} mm: {verdict(point)}",
    }


def mark_of(point: StripPoint) -> str:
    """What the lane under the bars says of a slice: ``accepted``, ``missed``, ``flagged`` or nothing."""
    if point.accepted:
        return "accepted"
    return "missed" if point.missed else "flagged" if point.flagged else ""


def counts(session: ReviewSession) -> dict[str, object]:
    """The figures of the case."""
    figures = session.counts
    return {
        "flagged": figures.flagged,
        "missed": figures.missed,
        "segments": figures.segments,
        "accepted": figures.progress.accepted,
        "corrected": figures.progress.corrected,
        "open": figures.open,
        "total": figures.progress.total,
        "share": round(100 * figures.progress.share),
    }


def current(session: ReviewSession, slice_index: int | None, position_mm: float | None) -> dict[str, object]:
    """The slice that is looked at.

    Args:
        session: the review.
        slice_index: the file's own number of that slice, ``None`` when none is looked at.
        position_mm: its patient S coordinate, mm.
    """
    ref = session.current
    if ref is None or slice_index is None or position_mm is None:
        return {"k": -1, "slice": "", "where": "", "told": "Select a segment in the table", "mark": "", "scored": False}
    point = next((p for p in session.strip(ref.segment_id) if p.k == ref.k), None)
    return {
        "k": ref.k,
        "slice": str(slice_index),
        "where": f"S {position_mm:.1f} mm",
        "told": "this slice has no score" if point is None else verdict(point),
        "mark": "" if point is None else mark_of(point),
        "scored": point is not None,
        "accepted": session.is_accepted(*ref),
    }


def flags_in_slice(session: ReviewSession, k: int | None, scale: str = DEFAULT_SCALE) -> list[dict[str, object]]:
    """The segments that need a look in one slice, worst first; for the corner of the view while scrolling."""
    if k is None:
        return []
    found = []
    labels = session.labels
    for segment in session.segments:
        score = session.slice_score(segment.segment_id, k)
        if score is None or not score.is_doubtful or session.is_accepted(segment.segment_id, k):
            continue
        name = " ".join(labels[segment.segment_id].split())
        found.append(
            {
                "id": segment.segment_id,
                "text": f"{name} missing" if score.missed else f"{name} {score.predicted_dsc:.2f}",
                "color": hex_color(score.predicted_dsc, scale),
                "missed": score.missed,
                "dsc": score.predicted_dsc,
            }
        )
    return sorted(found, key=lambda flag: flag["dsc"])


def _two_places(dsc: float | None) -> str:
    return "" if dsc is None else f"{dsc:.2f}"
