"""The review between two runs of the command: scores, accepts and position, and the corrected masks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import InputError, UsageError, reason_of
from ..files import atomic_write
from ..report import write_scored_segmentation
from ..review import ReviewSession
from ..scores import CaseScore
from ..scores.report_json import case_document, case_from_document
from ..volume import Segment, Segmentation

SCHEMA = "quality-sentinel-web-review/1"
"""The number goes up when a reader of the old form would misread the new one."""

REVIEW_FILE = "review.json"
MASKS_FILE = "review.seg.nrrd"


class ReviewStore:
    """Keeps one review in a folder, and takes it up again.

    Args:
        folder: made when something is kept.
        inputs: ``{"ct": {"path", "sha256"}, "seg": {"path", "sha256"}}``: whose review it is.
    """

    def __init__(self, folder: Path, inputs: Mapping[str, Mapping[str, str]]) -> None:
        self.folder = folder
        self.inputs = {role: dict(entry) for role, entry in inputs.items()}

    @property
    def masks_file(self) -> Path:
        return self.folder / MASKS_FILE

    def write(self, case: CaseScore, state: Mapping[str, object], corrected: bool) -> None:
        """Write a review, whole: scores, ``ReviewSession.to_state()``, and whether corrected masks lie beside it."""
        document = {
            "schema": SCHEMA,
            "inputs": self.inputs,
            "corrected": corrected,
            "review": state,
            "scores": case_document(case),
        }
        atomic_write(self.folder / REVIEW_FILE, json.dumps(document, allow_nan=False) + "\n")

    def write_masks(self, segmentation: Segmentation) -> None:
        write_scored_segmentation(self.masks_file, segmentation, CaseScore([], 0.0))

    def read(self) -> tuple[ReviewSession, bool] | None:
        """The review kept in the folder, and whether corrected masks lie beside it; ``None`` when there is none.

        Raises:
            UsageError: the folder holds the review of another case.
            InputError: it cannot be read.
        """
        path = self.folder / REVIEW_FILE
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["schema"] != SCHEMA:
                raise ValueError("not a review of this version")
            if any(document["inputs"][role]["sha256"] != entry["sha256"] for role, entry in self.inputs.items()):
                raise UsageError(f"{self.folder}: contains the review of another case; choose another --out")
            session = ReviewSession.from_state(case_from_document(document["scores"]), document["review"])
            return session, bool(document.get("corrected"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = reason_of(error)
            raise InputError(f"{path}: cannot be read ({reason}); move it away to start a new review") from error


def with_masks(segmentation: Segmentation, masks: Iterable[Segment]) -> Segmentation:
    """The segmentation with other masks, by segment id; names, structures and tags stay as they are."""
    by_id = {s.id: s for s in masks}
    segments = [
        replace(s, box=m.box, labels=m.labels, value=m.value) if (m := by_id.get(s.id)) else s for s in segmentation
    ]
    return replace(segmentation, segments=segments)
