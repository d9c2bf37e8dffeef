"""Scoring again what was edited: when it happens, and what is seen of it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from Testing.Python.panel.using import run_events_until, scored_again, texts

from QualitySentinelLib.errors import ModelError
from QualitySentinelLib.scores import CaseScore, Progress


def test_an_edited_slice_is_scored_alone_and_the_table_follows(scored, edit, monkeypatch):
    numbers = scored_again(scored.logic, monkeypatch)
    session = scored.panel.review_panel.session
    k = session.segment("spleen").slices[2].k
    before = session.slice_score("spleen", k).predicted_dsc
    edit(k)
    run_events_until(lambda: numbers)
    assert numbers == [1]
    assert session.slice_score("spleen", k).predicted_dsc != before
    assert [row[1] for row in texts(scored.ui.resultsTable)] == [f"{s.predicted_dsc:.2f}" for s in session.segments]
    assert [c.k for c in session.edits()] == [k]


def test_edits_wait_while_the_box_is_unchecked(scored, edit, monkeypatch):
    numbers = scored_again(scored.logic, monkeypatch)
    scored.ui.autoRescoreCheckBox.click()
    edit(scored.panel.review_panel.session.segment("spleen").slices[1].k)
    edit(scored.panel.review_panel.session.segment("spleen").slices[2].k)
    run_events_until(lambda: True)
    assert numbers == []
    scored.ui.autoRescoreCheckBox.click()
    run_events_until(lambda: numbers)
    assert numbers == [2]


def test_scores_of_another_model_are_not_mixed(scored, edit, a_small_model):
    from dataclasses import replace

    scored.logic._model = replace(a_small_model, sha256="1" * 64)
    edit(scored.panel.review_panel.session.segment("spleen").slices[1].k)
    run_events_until(lambda: "another model" in scored.ui.warningsLabel.text)
    assert not scored.ui.warningsLabel.isHidden()


@pytest.fixture
def a_review():
    class Review:
        """What rescoring needs of an open review."""

        def __init__(self):
            self.warnings, self.session, self.scores = [], SimpleNamespace(update=lambda score: None), []
            self.session.update = self.scores.append

    return Review()


def test_an_edit_is_scored_in_steps_and_another_one_begins_anew(slicer, a_review):
    from QualitySentinelLib.panel.scoring_run import rescoring_in_steps

    begun, case = [], CaseScore([], 0.8)

    def steps(review, segment_ids):
        begun.append(sorted(segment_ids))
        while len(begun) < 2:
            yield Progress(0, 1, 0.0, None, case)
        yield Progress(1, 1, 0.0, None, case)

    rescoring = rescoring_in_steps(steps, lambda review: None)
    rescoring.edited(a_review, {"liver"})
    run_events_until(lambda: begun)
    rescoring.edited(a_review, {"spleen"})
    run_events_until(lambda: not rescoring.busy(a_review))
    assert begun == [["liver"], ["liver", "spleen"]] and a_review.scores == [case]


def test_a_failure_is_a_warning_and_no_message_box(slicer, a_review):
    from QualitySentinelLib.panel.scoring_run import rescoring_in_steps

    def fail(review, segment_ids):
        raise ModelError("the model is gone; import it again")
        yield

    rescoring = rescoring_in_steps(fail, lambda review: None)
    rescoring.edited(a_review, {"liver"})
    run_events_until(lambda: a_review.warnings)
    assert a_review.warnings == ["the model is gone; import it again"]
    assert not rescoring.busy(a_review)
