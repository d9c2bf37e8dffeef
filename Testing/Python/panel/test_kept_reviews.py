"""A review that came with the scene: its segments may have been edited while the panel was closed."""

from __future__ import annotations

import numpy as np
import pytest
from Testing.Python.panel.using import apply, run_events_until, scored_again, texts


@pytest.fixture
def kept(slicer, a_ct_node, a_segmentation_node, a_small_model):
    """A scene that keeps a review of liver and spleen, a slice of each accepted, and no panel; the session."""
    from QualitySentinelLib.options import ScoringOptions
    from QualitySentinelLib.review import ReviewSession
    from QualitySentinelLib.scene import keep_review, score_steps

    *_, last = score_steps(a_ct_node, a_segmentation_node, lambda: a_small_model, ScoringOptions(device="cpu"))
    session = ReviewSession(last.score)
    for segment_id in ("liver", "spleen"):
        session.accept(segment_id, session.segment(segment_id).slices[2].k)
    keep_review(a_segmentation_node, session)
    return session


@pytest.fixture
def scorings(module, monkeypatch):
    """For each scoring after an edit how many slices went through the network; filled as they happen."""
    return scored_again(module.QualitySentinelLogic, monkeypatch)


def compared(panel):
    """Wait until the review that is shown was compared with its segments."""
    run_events_until(lambda: panel.panel.review_panel.review._comparing is None)


def test_slices_edited_before_the_panel_opened_are_scored_again_and_others_keep_all(kept, edit, open_panel, scorings):
    k = kept.segment("spleen").slices[2].k
    edit(k)
    panel = open_panel()
    run_events_until(lambda: scorings)
    session = panel.panel.review_panel.session
    assert scorings == [1]
    assert session.slice_score("spleen", k).digest != kept.slice_score("spleen", k).digest
    assert session.accepted == (("liver", kept.segment("liver").slices[2].k),), "the edited one is open again"
    assert session.segment("liver") == kept.segment("liver")
    assert [c.k for c in session.edits()] == [k]
    assert panel.ui.warningsLabel.isHidden()


def test_nothing_is_scored_again_when_nothing_was_edited(kept, open_panel, scorings):
    panel = open_panel()
    compared(panel)
    assert not panel.panel.rescoring.busy(panel.panel.review_panel.review) and scorings == []
    assert panel.ui.warningsLabel.isHidden()


@pytest.mark.parametrize("change", ["erased", "painted beyond", "added", "renamed"])
def test_every_kind_of_edit_is_found(slicer, kept, a_ct_node, a_segmentation_node, open_panel, change):
    segmentation = a_segmentation_node.GetSegmentation()
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(a_segmentation_node, "spleen", a_ct_node).astype(np.uint8)
    segment_id = "spleen"
    if change == "erased":
        mask[:] = 0
    elif change == "painted beyond":
        top = np.flatnonzero(mask.any(axis=(1, 2)))[-1]
        mask[top + 3] = mask[top]
    elif change == "added":
        segment_id = segmentation.AddEmptySegment("", "stomach")
        mask[:] = 0
        mask[3, :5, :5] = 1
    if change == "renamed":
        segmentation.GetSegment(segment_id).SetName("kidney right")
    else:
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, a_segmentation_node, segment_id, a_ct_node)
    panel = open_panel()
    panel.ui.autoRescoreCheckBox.checked = False
    compared(panel)
    label = segmentation.GetSegment(segment_id).GetName()
    assert f"Edited since the last scoring: {label}." in panel.ui.warningsLabel.text


def test_without_scoring_of_edits_one_line_says_so_until_apply(kept, edit, open_panel, scorings):
    edit(kept.segment("spleen").slices[2].k)
    panel = open_panel()
    panel.ui.autoRescoreCheckBox.checked = False
    compared(panel)
    before = texts(panel.ui.resultsTable)
    said = "\u26a0 Edited since the last scoring: spleen. Press Apply to rescore the changes"
    assert panel.ui.warningsLabel.text == said
    apply(panel)
    assert panel.ui.warningsLabel.isHidden()
    assert texts(panel.ui.resultsTable) != before and scorings == []
    assert [ref.segment_id for ref in panel.panel.review_panel.session.accepted] == ["liver"]


def test_a_cancelled_apply_leaves_the_edits_unscored_and_says_so(kept, edit, open_panel):
    edit(kept.segment("spleen").slices[2].k)
    panel = open_panel()
    panel.ui.autoRescoreCheckBox.checked = False
    compared(panel)
    panel.ui.applyButton.click()
    panel.ui.cancelButton.click()
    run_events_until(lambda: not panel.ui.cancelButton.enabled)
    assert "Edited since the last scoring: spleen." in panel.ui.warningsLabel.text


def test_edits_that_cannot_be_scored_stay_named(kept, edit, open_panel, monkeypatch):
    from QualitySentinelLib.scene import scoring

    def missing(*_args):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")
        yield

    monkeypatch.setattr(scoring, "import_steps", missing)
    edit(kept.segment("spleen").slices[2].k)
    panel = open_panel()
    run_events_until(lambda: "spleen" in panel.ui.warningsLabel.text)
    assert "torch is not installed. Press Apply" in panel.ui.warningsLabel.text
    monkeypatch.undo()
    edit(kept.segment("spleen").slices[3].k)
    review = panel.panel.review_panel.review
    run_events_until(lambda: not panel.panel.rescoring.busy(review))
    assert [c.k for c in review.session.edits()] == [s.k for s in kept.segment("spleen").slices[2:4]]
    assert panel.ui.warningsLabel.isHidden()


class TestAnotherCt:
    @pytest.fixture
    def asked(self, slicer, monkeypatch):
        """What the user is asked; ``answer`` is given."""

        class Asked(list):
            answer = True

        questions = Asked()

        def ask(text, *_args, **_options):
            questions.append(text)
            return questions.answer

        monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", ask)
        return questions

    @pytest.fixture
    def move_ct(self, slicer, a_ct_node):
        """A function that moves the CT by a centimetre."""

        def move():
            a_ct_node.SetOrigin(*np.add(a_ct_node.GetOrigin(), (0, 0, 10)))

        return move

    def test_a_moved_ct_asks_before_accepts_are_dropped(self, kept, open_panel, asked, move_ct, a_segmentation_node):
        panel = open_panel()
        review, rows = panel.panel.review_panel.review, texts(panel.ui.resultsTable)
        compared(panel)
        move_ct()
        asked.answer = False
        panel.ui.applyButton.click()
        assert len(asked) == 1 and "accepted (2)" in asked[0]
        assert panel.panel.review_panel.review is review and len(review.session.accepted) == 2
        assert texts(panel.ui.resultsTable) == rows and panel.ui.applyButton.enabled
        asked.answer = True
        apply(panel)
        assert len(asked) == 2 and panel.panel.review_panel.session.accepted == ()

    def test_without_accepts_nobody_is_asked(self, kept, open_panel, asked, move_ct):
        panel = open_panel()
        compared(panel)
        for segment_id in ("liver", "spleen"):
            panel.panel.review_panel.session.unaccept_segment(segment_id)
        move_ct()
        apply(panel)
        assert asked == [] and panel.panel.review_panel.session is not None

    def test_the_same_ct_asks_nothing_and_keeps_all(self, kept, open_panel, asked):
        panel = open_panel()
        apply(panel)
        assert asked == [] and len(panel.panel.review_panel.session.accepted) == 2

    def test_a_kept_review_whose_ct_was_moved_is_named_and_not_written_over_unasked(
        self, kept, open_panel, asked, move_ct, a_segmentation_node
    ):
        from QualitySentinelLib.scene import kept_review

        move_ct()
        panel = open_panel()
        assert texts(panel.ui.resultsTable) == []
        assert "This segmentation has a saved review, but its CT" in panel.ui.warningsLabel.text
        asked.answer = False
        panel.ui.applyButton.click()
        assert len(asked) == 1 and len(kept_review(a_segmentation_node).accepted) == 2

    def test_scoring_by_the_logic_never_asks(self, kept, module, asked, move_ct, a_ct_node, a_segmentation_node,
                                             a_small_model):  # fmt: skip
        move_ct()
        logic = module.QualitySentinelLogic()
        logic.score(a_ct_node, a_segmentation_node, model=a_small_model, device="cpu")
        assert asked == []
