"""How far scoring has come, as plain data: a view may show it before torch is imported."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .score import CaseScore


class Stage(StrEnum):
    """What scoring is busy with."""

    LOADING = "loading the model"
    READING = "reading the volumes"
    PLANNING = "planning"
    SCORING = "scoring"


@dataclass
class Progress:
    """How far scoring has come.

    Attributes:
        done, total: slices scored, and to score, in this run: those of the masks and empty ones that may have been
            missed (slices kept from a previous score count in neither). ``total`` is 0 until all are planned.
        seconds: wall time so far.
        segment_id: the segment of the slice scored last; ``None`` before the first.
        score: the scores so far; segments that have all their slices are complete, the rest ``not scored`` yet.
            It has no segments before they are read.
        cancelled: the run ended because the user asked for it.
        stage: what comes next: a view can say so before it happens.
    """

    done: int
    total: int
    seconds: float
    segment_id: str | None
    score: CaseScore
    cancelled: bool = False
    stage: Stage = Stage.SCORING

    @property
    def finished(self) -> bool:
        """Everything is scored: nothing comes after this, and ``score`` is complete."""
        return self.stage is Stage.SCORING and self.done == self.total and not self.cancelled
