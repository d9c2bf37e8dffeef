"""A review as plain dictionaries and lists, to be kept in the scene; the scores themselves are kept elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..checks import finite_number, whole_number
from ..errors import InputError, reason_of
from .cases import SliceRef
from .edits import FirstScore

SCHEMA = "quality-sentinel-review/1"
"""The number goes up when a reader of the old form would misread the new one; new keys alone do not raise it."""

_MOST = 1 << 31


@dataclass
class ReviewState:
    """What is kept of a review beside its scores."""

    threshold: float  # slices predicted below it are flagged, 0..1
    model: str | None = None  # SHA-256 of the model that made the scores, or ``None``
    selected: str | None = None  # id of the segment looked at, or ``None``
    k: int | None = None  # the canonical slice looked at, or ``None``; only with ``selected``
    # accepted slices, with the digest of the mask that was accepted
    accepted: dict[SliceRef, str] = field(default_factory=dict)
    # first scores of slices that are others now, by segment id and k
    first: dict[str, dict[int, FirstScore]] = field(default_factory=dict)
    own_thresholds: bool = False  # structures that have thresholds of their own are flagged below those

    @property
    def segment_ids(self) -> set[str]:
        """Every segment that the state says something of."""
        selected = set() if self.selected is None else {self.selected}
        return {ref.segment_id for ref in self.accepted} | self.first.keys() | selected

    def to_json(self) -> dict[str, object]:
        """The state as JSON has it: text keys, lists, numbers; ``json.dumps(..., allow_nan=False)`` takes it."""
        ids = dict.fromkeys([*(ref.segment_id for ref in self.accepted), *self.first])
        segments: dict[str, dict[str, list[list[object]]]] = {i: {"accepted": [], "first": []} for i in ids}
        for ref, digest in self.accepted.items():
            segments[ref.segment_id]["accepted"].append([ref.k, digest])
        for i, first in self.first.items():
            segments[i]["first"] = [[k, score.digest, score.dsc, score.missed] for k, score in first.items()]
        plain = {name: getattr(self, name) for name in ("threshold", "own_thresholds", "model", "selected", "k")}
        return {"schema": SCHEMA, **plain, "segments": segments}

    @classmethod
    def from_json(cls, document: Any) -> ReviewState:
        """The state that :meth:`to_json` gave.

        Raises:
            InputError: it is damaged, or its schema is another.
        """
        try:
            if document["schema"] != SCHEMA:
                raise ValueError(f"its schema is {str(document['schema'])[:60]!r}, not {SCHEMA!r}")
            model, selected, k = (document.get(name) for name in ("model", "selected", "k"))
            state = cls(
                threshold=finite_number(document["threshold"], "threshold", 0.0, 1.0),
                model=None if model is None else _a(str, model),
                selected=None if selected is None else _a(str, selected),
                k=None if k is None else whole_number(k, "k", 0, _MOST),
                own_thresholds=_a(bool, document.get("own_thresholds", False)),
            )
            if state.k is not None and state.selected is None:
                raise ValueError("k is a slice of no segment")
            for segment_id, kept in document["segments"].items():
                for k, digest in _a(list, kept["accepted"]):
                    state.accepted[SliceRef(segment_id, whole_number(k, "k", 0, _MOST))] = _a(str, digest)
                for k, digest, dsc, missed in _a(list, kept["first"]):
                    dsc = None if dsc is None else finite_number(dsc, "dsc", 0.0, 1.0)
                    first = FirstScore(_a(str, digest), dsc, _a(bool, missed))
                    state.first.setdefault(segment_id, {})[whole_number(k, "k", 0, _MOST)] = first
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise InputError(
                f"the saved review cannot be read ({reason_of(error, 120)}); continue without it, or score again"
            ) from error
        return state


def _a(kind: type, value: Any) -> Any:
    """``value``, when it is of this kind."""
    if not isinstance(value, kind):
        raise ValueError(f"{value!r:.60} is no {kind.__name__}")
    return value
