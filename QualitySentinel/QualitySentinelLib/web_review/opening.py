"""From the command's options to a review: the case read, the model loaded, an earlier review taken up again."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

from ..commands.score import input_files, recorded, scoring_options
from ..files import sha256_of
from ..reading import read_ct, read_segmentation
from ..review import ReviewSession
from ..scores import CaseScore, SegmentScore, Status
from ..volume import Segmentation
from ..volume.segmentation import chosen_segments
from .controller import ReviewController
from .review_store import ReviewStore, with_masks


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
    from ..checkpoint import load_model  # torch takes seconds to import: a wrong path is told before
    from ..scorer import Scorer

    scorer = Scorer(load_model(how.model, how.embeddings), how)
    inputs = {role: {"path": str(path), "sha256": sha256_of(path)} for role, path in input_files(options).items()}
    store = ReviewStore(options.out, inputs)
    kept = store.read()
    corrected = bool(kept and kept.get("corrected"))
    if corrected:
        segmentation = with_masks(segmentation, read_segmentation(store.masks_file, ct))
    session = store.session(kept) if kept else ReviewSession(blank_scores(segmentation, how.threshold))
    if kept is None and scores is not None:
        there = {s.id for s in segmentation}
        session.update(replace(scores, segments=[s for s in scores.segments if s.segment_id in there]))
    for warning in (*ct.warnings, *segmentation.warnings, *session.warnings):
        print("warning:", " ".join(warning.split()), flush=True)
    told = recorded(options, how)
    return lambda: ReviewController(ct, segmentation, session, scorer, store, told, corrected=corrected)


def blank_scores(segmentation: Segmentation, threshold: float) -> CaseScore:
    """The table before there are scores."""
    states = (Status.NOT_SCORED, Status.EMPTY)
    segments = [
        SegmentScore(s.id, s.name, s.structure, states[s.is_empty], len(s.occupied_slices())) for s in segmentation
    ]
    return CaseScore(segments, threshold)
