"""How a case is scored: the object that the command line, the panel, an audit and a script make for the scorer.

Standard library only: Slicer imports it when it starts.
"""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from .bundled import BUNDLED
from .errors import UsageError

if TYPE_CHECKING:
    from .checkpoint import QualityModel

DEFAULT_THRESHOLD = 0.8
SliceChoice = int | str
"""A number of slices per segment, ``"all"``, or ``"published"`` (the ten positions of the published code)."""


@dataclass(frozen=True)
class ScoringOptions:
    """How a case is scored.

    Raises:
        UsageError: a value is not sensible.
    """

    model: str | os.PathLike | QualityModel = BUNDLED  # ``"bundled"``, a model file, or a model that was loaded already
    embeddings: str | os.PathLike | None = None  # ``label_embedding.pkl`` that belongs to a published ``.pth`` file
    device: str = "auto"  # ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``
    batch_size: int | None = None  # slices at once; by default as many as suit the device
    # which slices of a segment. With ``"all"``, a model that can also looks at slices without mask, inside it and just
    # beyond its ends, for what was missed; not in segments of unknown structure, because nothing says what to look for
    slices: SliceChoice = "all"
    segments: tuple[str, ...] | None = None  # ids, names or structures of the segments to score; by default every one
    threshold: float = DEFAULT_THRESHOLD  # slices predicted below it are flagged
    own_thresholds: bool = False  # structures are flagged below their own thresholds, where the model has them
    aggregation: str | None = None  # a name of ``scores.AGGREGATIONS``; by default ``scores.DEFAULT_AGGREGATION``
    # backend, precision: what runs the network on a CPU, see :class:`~.checkpoint.QualityModel`; by default as the
    # model has it
    backend: str | None = None
    precision: str | None = None
    # about how long a step of ``Scorer.run`` may take, for an application that must stay alive between steps; batches
    # grow and shrink to that. By default they are as large as suits the device
    step_seconds: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "threshold", check_threshold(self.threshold))
        object.__setattr__(self, "slices", _slice_choice(self.slices))
        object.__setattr__(self, "segments", None if self.segments is None else tuple(self.segments))
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"batch size must be at least 1, not {self.batch_size}")

    def recorded(self) -> dict:
        """What a report says of them, JSON-able: all but how long steps and batches were."""
        return {k: v for k, v in asdict(self).items() if k not in ("batch_size", "step_seconds")}


def check_threshold(threshold: float) -> float:
    """The threshold as a float; a ``UsageError`` unless it is a number in 0..1."""
    try:
        value = float(threshold)
    except (TypeError, ValueError):
        value = math.nan
    if not 0.0 <= value <= 1.0:
        raise UsageError(f"{threshold}: not a threshold; give a DSC between 0 and 1")
    return value


def _slice_choice(text: SliceChoice) -> SliceChoice:
    if text in ("all", "published"):
        return text
    try:
        number = int(text)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise UsageError(f"slices must be 'all', 'published' or a number of at least 1, not {text!r}")
    return number
