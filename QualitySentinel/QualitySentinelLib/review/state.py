"""A review as plain dictionaries and lists, to be kept in the scene; the scores themselves are kept elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InputError
from .edits import FirstScore
from .refs import SliceRef

SCHEMA = "quality-sentinel-review/1"
"""The number goes up when a reader of the old form would misread the new one; new keys alone do not raise it."""


@dataclass
class ReviewState:
    """What is kept of a review beside its scores.

    Attributes:
        threshold: slices predicted below it are flagged, 0..1.
        model: SHA-256 of the model that made the scores, or ``None``.
        selected: id of the segment looked at, or ``None``.
        k: the canonical slice looked at, or ``None``; only with ``selected``.
        accepted: accepted slices, with the digest of the mask that was accepted.
        first: first scores of slices that are others now.
    """

    threshold: float
    model: str | None = None
    selected: str | None = None
    k: int | None = None
    accepted: dict[SliceRef, str] = field(default_factory=dict)
    first: dict[SliceRef, FirstScore] = field(default_factory=dict)

    @property
    def segment_ids(self) -> set[str]:
        """Every segment that the state says something of."""
        ids = {ref.segment_id for ref in (*self.accepted, *self.first)}
        return ids if self.selected is None else ids | {self.selected}

    def to_json(self) -> dict[str, object]:
        """The state as JSON has it: text keys, lists, numbers; ``json.dumps(..., allow_nan=False)`` takes it."""
        ids = dict.fromkeys(ref.segment_id for ref in (*self.accepted, *self.first))
        segments: dict[str, dict[str, list[list[object]]]] = {i: {"accepted": [], "first": []} for i in ids}
        for ref, digest in self.accepted.items():
            segments[ref.segment_id]["accepted"].append([ref.k, digest])
        for ref, first in self.first.items():
            segments[ref.segment_id]["first"].append([ref.k, first.digest, first.dsc, first.missed])
        return {
            "schema": SCHEMA,
            "threshold": self.threshold,
            "model": self.model,
            "selected": self.selected,
            "k": self.k,
            "segments": segments,
        }

    @classmethod
    def from_json(cls, document: object) -> ReviewState:
        """The state that :meth:`to_json` gave.

        Raises:
            InputError: it is damaged, or its schema is another.
        """
        try:
            entries = _mapping(document, "it")
            if entries.get("schema") != SCHEMA:
                raise ValueError(f"its schema is {str(entries.get('schema'))[:60]!r}, not {SCHEMA!r}")
            state = cls(
                threshold=_share(entries.get("threshold"), "threshold"),
                model=_optional(_text, entries.get("model"), "model"),
                selected=_optional(_text, entries.get("selected"), "selected"),
                k=_optional(_index, entries.get("k"), "k"),
            )
            if state.k is not None and state.selected is None:
                raise ValueError("k is a slice of no segment")
            for segment_id, kept in _mapping(entries.get("segments"), "segments").items():
                state._read_segment(_text(segment_id, "segments"), _mapping(kept, "segments"))
        except ValueError as error:
            raise InputError(
                f"the saved review cannot be read ({error}); continue without it, or score again"
            ) from error
        return state

    def _read_segment(self, segment_id: str, kept: Mapping[Any, Any]) -> None:
        for k, digest in _rows(kept.get("accepted"), 2, "accepted"):
            self.accepted[SliceRef(segment_id, _index(k, "accepted"))] = _text(digest, "accepted")
        for k, digest, dsc, missed in _rows(kept.get("first"), 4, "first"):
            _checked(missed, isinstance(missed, bool), "first", "true or false")
            score = FirstScore(_text(digest, "first"), _optional(_share, dsc, "first"), missed)
            self.first[SliceRef(segment_id, _index(k, "first"))] = score


def _checked(value: Any, right: bool, name: str, expected: str) -> Any:
    if not right:
        raise ValueError(f"{name}: {expected} is expected")
    return value


def _mapping(value: object, name: str) -> Mapping[Any, Any]:
    return _checked(value, isinstance(value, Mapping), name, "a dictionary")


def _rows(value: object, length: int, name: str) -> list[Any]:
    right = isinstance(value, list) and all(isinstance(row, (list, tuple)) and len(row) == length for row in value)
    return _checked(value, right, name, f"a list of lists of {length}")


def _text(value: object, name: str) -> str:
    return _checked(value, isinstance(value, str), name, "a text")


def _index(value: object, name: str) -> int:
    right = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return _checked(value, right, name, "a slice number")


def _share(value: object, name: str) -> float:
    right = isinstance(value, (int, float)) and not isinstance(value, bool) and 0.0 <= value <= 1.0
    return float(_checked(value, right, name, "a number in 0..1"))


def _optional(check: Callable[[object, str], Any], value: object, name: str) -> Any:
    return None if value is None else check(value, name)
