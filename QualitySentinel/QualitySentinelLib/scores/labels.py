"""How segments are called in tables and pages, where a name alone may not tell two of them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from .score import SegmentScore


def segment_labels(segments: Iterable[SegmentScore]) -> dict[str, str]:
    """Label of each segment by its id: its name; where names repeat (or are blank) ``name [id]``, all different.

    Example:
        >>> from QualitySentinelLib.scores import Status
        >>> segments = [SegmentScore(i, n, None, Status.EMPTY) for i, n in (("1", "liver"), ("2", "a"), ("3", "a"))]
        >>> segment_labels(segments)
        {'1': 'liver', '2': 'a [2]', '3': 'a [3]'}
    """
    segments = list(segments)
    names = Counter(s.name for s in segments)
    labels: dict[str, str] = {}
    taken = {name for name, count in names.items() if count == 1 and name.strip()}
    for segment in segments:
        label = segment.name
        if names[label] > 1 or not label.strip():
            label = f"{label} [{segment.segment_id}]".strip()
            while label in taken:  # another segment is really called so
                label = f"{label} [{segment.segment_id}]"
            taken.add(label)
        labels[segment.segment_id] = label
    return labels
