"""From the command's options to a review: the case read, the model loaded, an earlier review taken up again."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..commands.score import input_files, recorded, scoring_options
from ..datasets import Case, read_case
from ..datasets.pool import corrected_file
from ..errors import InputError
from ..files import sha256_of
from ..options import ScoringOptions
from ..reading import read_ct, read_segmentation
from ..review import ReviewSession
from ..scores import CaseScore, SegmentScore, Status
from ..volume import CtVolume, Segmentation
from ..volume.segmentation import chosen_segments
from .controller import ReviewController
from .review_store import ReviewStore, with_masks

if TYPE_CHECKING:
    from ..scorer import Scorer


def open_review(options: argparse.Namespace, scores: CaseScore | None = None) -> Callable[[], ReviewController]:
    """Read a case; returns a function that makes its review inside an event loop.

    Args:
        options: those of ``quality-sentinel review``.
        scores: an earlier scoring to begin with; a review kept in the folder goes before it.

    Raises:
        QualitySentinelError: what cannot be read, or does not fit, in one line.
    """
    ct = read_ct(options.ct, options.series)
    segmentation = read_segmentation(options.seg, ct, names=options.names)
    how = scoring_options(options)
    chosen_segments(segmentation, how.segments)
    store = ReviewStore(options.out, _fingerprints(input_files(options)))
    return _opened(ct, segmentation, store, _scorer(how), recorded(options, how), scores)


class CaseOpener:
    """Opens the cases of a list, with one model for all; ``out`` of the options has a folder for each."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options, self._how = options, scoring_options(options)

    @cached_property
    def _scorer(self) -> Scorer:
        return _scorer(self._how)

    def __call__(self, case: Case) -> Callable[[], ReviewController]:
        """As :func:`open_review`. What was corrected later than in its review, as in Slicer's panel, is taken up."""
        if not case.seg:
            raise InputError(f"{case.name}: has no masks; give --predictions, or draw them in Slicer's panel")
        ct, segmentation = read_case(case)
        chosen_segments(segmentation, self._how.segments)
        store = ReviewStore(self._options.out / case.name, _fingerprints({"ct": case.root / case.ct}))
        since = _changed_at(corrected_file(self._options.queue, case.name))
        return _opened(ct, segmentation, store, self._scorer, recorded(self._options, self._how), since=since)


def _changed_at(path: Path) -> float:
    return path.stat().st_mtime if path.is_file() else 0.0


def _fingerprints(files: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    return {role: {"path": str(path), "sha256": sha256_of(path)} for role, path in files.items()}


def _scorer(how: ScoringOptions) -> Scorer:
    from ..checkpoint import load_model  # torch takes seconds to import: a wrong path is told before
    from ..scorer import Scorer

    return Scorer(load_model(how.model, how.embeddings), how)


def _opened(
    ct: CtVolume, segmentation: Segmentation, store: ReviewStore, scorer: Scorer, told: dict,
    scores: CaseScore | None = None, since: float = 0.0,
) -> Callable[[], ReviewController]:  # fmt: skip
    """``since``: when the masks were corrected elsewhere, as POSIX time; those that were kept before are older."""
    kept, corrected = store.read() or (None, False)
    corrected = corrected and _changed_at(store.masks_file) >= since
    if corrected:
        segmentation = with_masks(segmentation, read_segmentation(store.masks_file, ct))
    session = kept or ReviewSession(blank_scores(segmentation, scorer.options))
    known, there = session.case if kept else scores, {s.id for s in segmentation}
    if known is not None:  # segments may be gone: the masks were corrected elsewhere, or the scores are of others
        session.update(replace(known, segments=[s for s in known.segments if s.segment_id in there]))
    for warning in (*ct.warnings, *segmentation.warnings, *session.warnings):
        print("warning:", " ".join(warning.split()), flush=True)
    return lambda: ReviewController(ct, segmentation, session, scorer, store, told, corrected=corrected)


def blank_scores(segmentation: Segmentation, how: ScoringOptions) -> CaseScore:
    """The table before there are scores."""
    states = (Status.NOT_SCORED, Status.EMPTY)
    segments = [
        SegmentScore(s.id, s.name, s.structure, states[s.is_empty], len(s.occupied_slices())) for s in segmentation
    ]
    return CaseScore(segments, how.threshold, own_thresholds=how.own_thresholds)
