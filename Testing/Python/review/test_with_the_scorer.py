"""A review of what the scorer really gives, through an edit."""

from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.review import ReviewSession
from QualitySentinelLib.scores import Status
from QualitySentinelLib.volume import Segment, Segmentation
from QualitySentinelLib.volume.segmentation import boxes_of_labels


@pytest.fixture
def scored_again(a_small_model, a_ct_with_a_liver, a_torso):
    """Scores the torso with other labels, keeping what did not change."""
    from QualitySentinelLib.scorer import Scorer

    ct, segmentation = a_ct_with_a_liver
    scorer = Scorer(a_small_model, device="cpu")

    def score(labels=None, previous=None):
        labels = a_torso.labels if labels is None else labels
        boxes = boxes_of_labels(labels, a_torso.names)
        segments = [
            Segment(str(value), name, boxes[value], labels[boxes[value]], value, structure=name)
            for value, name in a_torso.names.items()
        ]
        return list(scorer.run(ct, Segmentation(segments, segmentation.frame, "seg"), previous=previous))

    return score


@pytest.fixture
def an_edit(a_torso):
    """The torso's labels with a hole in one slice of the liver, and that slice."""
    labels = a_torso.labels.copy()
    k = int(np.flatnonzero((labels == 1).any(axis=(1, 2)))[3])
    j, i = np.argwhere(labels[k] == 1)[20]
    labels[k, j, i] = 0
    return labels, k


def test_after_an_edit_only_its_slice_is_drawn_anew(scored_again, an_edit):
    labels, k = an_edit
    first = scored_again()[-1].score
    session = ReviewSession(first, threshold=1.0)
    session.accept_segment("1")
    heard = []
    session.observe(heard.append)
    assert session.update(scored_again(labels, previous=session.case)[-1].score) == ("1",)
    assert [event.segments for event in heard] == [("1",)] and not session.is_accepted("1", k)
    assert [(c.segment_id, c.k) for c in session.edits()] == [("1", k)]


def test_the_session_takes_the_scores_while_they_come(scored_again):
    steps = scored_again()
    session = ReviewSession(steps[0].score)  # the scorer fills this one further; the session has a copy
    session.update(steps[-1].score)
    assert [s.status for s in session.segments] == [Status.SCORED] * 2
    assert session.edits() == ()
    assert not session.update(steps[-1].score)


def test_scoring_one_segment_again_leaves_the_other(a_ct_with_a_liver, a_small_model, scored_again):
    from QualitySentinelLib.scorer import Scorer

    session = ReviewSession(scored_again()[-1].score)
    only = Scorer(a_small_model, device="cpu").score(*a_ct_with_a_liver, segments=["liver"])
    assert only["2"].status is Status.NOT_SCORED
    assert not session.update(only)
    assert session.segment("2").status is Status.SCORED
