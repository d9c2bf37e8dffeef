"""Scored again: what changed, what stays accepted, what counts as corrected."""

from __future__ import annotations

import copy

import pytest

from QualitySentinelLib.review import Changed, Edit, ReviewSession, SliceRef
from QualitySentinelLib.scores import Status, aggregate


def blank(case, *keep):
    """The case as a scoring of only ``keep`` gives it, or one that was cancelled after them."""
    case = copy.deepcopy(case)
    for segment in case.segments:
        if segment.segment_id not in keep and segment.status is not Status.EMPTY:
            segment.slices, segment.empty_slices, segment.status = [], [], Status.NOT_SCORED
            aggregate(segment)
    return case


class TestWhatChanged:
    def test_only_the_edited_segment(self, a_session, edited):
        assert a_session.update(edited(a_session.case, "liver", {23: 0.97})) == ("liver",)
        assert a_session.slice_score("liver", 23).predicted_dsc == 0.97

    def test_nothing_when_nothing_did_and_nobody_is_told(self, a_session, a_case, heard):
        assert not a_session.update(a_case) and not heard

    def test_another_threshold_of_the_scoring_is_no_change(self, a_session, a_case, heard):
        a_case.threshold = 0.3
        assert not a_session.update(a_case)
        assert a_session.threshold == a_session.case.threshold == 0.8 and a_session.counts.flagged == 5

    def test_a_slice_with_another_mask_and_the_same_score_changed_too(self, a_session, edited):
        assert a_session.update(edited(a_session.case, "liver", {23: 0.6})) == ("liver",)

    def test_the_table_moves(self, a_session, edited, heard):
        a_session.update(edited(a_session.case, "spleen", {5: 0.99, 6: 0.99, 8: 0.99}))
        assert [s.segment_id for s in a_session.segments] == ["liver", "aorta", "spleen", "gone"]
        assert [(e.changed, e.segments) for e in heard] == [(Changed.SCORES, ("spleen",))]

    def test_an_order_that_alone_is_another_is_told(self, make_case, make_segment):
        segments, told = [make_segment(i, {1: 0.5}) for i in "ab"], []
        session = ReviewSession(make_case(*segments))
        session.observe(lambda event: told.append(event.segments))
        session.update(make_case(*segments[::-1]))
        assert [s.segment_id for s in session.segments] == ["b", "a"] and told == [()]

    def test_painting_into_a_missed_slice_and_erasing_one(self, a_session, edited):
        assert a_session.update(edited(a_session.case, "liver", {25: 0.9}, erased=[20])) == ("liver",)
        assert [p.k for p in a_session.profile("liver")] == [21, 22, 23, 24, 25]

    def test_segments_come_and_go(self, a_session, a_case, make_segment):
        a_case.segments = [s for s in a_case.segments if s.segment_id != "spleen"] + [make_segment("new", {3: 0.1})]
        assert a_session.update(a_case) == ("new", "spleen")
        assert a_session.next_flagged() == SliceRef("new", 3)

    def test_a_new_name_is_a_change_of_its_row(self, a_session, a_case):
        a_case["liver"].name = "Leber"
        assert a_session.update(a_case) == ("liver",)
        assert a_session.labels["liver"] == "Leber"

    def test_rounding_of_another_batch_is_no_change_unless_it_flags(self, make_case, make_segment):
        session = ReviewSession(make_case(make_segment("liver", {1: 0.8, 2: 0.9})))
        assert not session.update(make_case(make_segment("liver", {1: 0.8, 2: 0.9 - 1e-8})))
        assert session.update(make_case(make_segment("liver", {1: 0.8 - 1e-8, 2: 0.9}))) == ("liver",)
        assert session.counts.flagged == 1

    def test_a_score_without_an_output_of_the_network_is_not_always_new(self, a_session, a_case):
        for s in a_case["liver"].slices:
            s.raw = float("nan")  # as from a report.json
        assert not a_session.update(a_case)


class TestWhereTheReaderLooks:
    def test_the_slice_stays_through_an_edit_even_when_it_is_erased(self, a_session, edited):
        a_session.go_to("liver", 23)
        a_session.update(edited(a_session.case, "liver", erased=[23]))
        assert a_session.current == SliceRef("liver", 23)

    def test_nothing_is_looked_at_when_the_segment_is_gone(self, a_session, a_case, heard):
        a_session.select("spleen")
        heard.clear()
        a_case.segments.pop()
        a_session.update(a_case)
        assert a_session.selected is None and a_session.current is None
        assert [(e.changed, e.segments) for e in heard] == [
            (Changed.SCORES, ("spleen",)),
            (Changed.CURRENT, ()),
        ]
        assert a_session.next_flagged() == SliceRef("liver", 20)


class TestScoringThatIsNotComplete:
    def test_segments_appear_as_they_are_scored(self, a_case):
        session = ReviewSession(blank(a_case))
        assert session.counts.open == 0
        assert session.update(blank(a_case, "liver")) == ("liver",) and session.counts.open == 3
        session.update(a_case)
        assert session.counts.open == 6 and session.edits() == ()

    def test_scoring_one_segment_takes_nothing_from_the_others(self, a_session, edited):
        a_session.accept_segment("spleen")
        again = blank(edited(a_session.case, "liver", {23: 0.97}), "liver")
        assert a_session.update(again) == ("liver",)
        assert a_session.segment_counts("spleen").accepted == 3
        assert [c.k for c in a_session.edits()] == [23]

    def test_a_cancelled_scoring_takes_nothing_away(self, a_session, a_case):
        half = blank(a_case)
        half["liver"].slices = a_case["liver"].slices[:2]
        assert not a_session.update(half)
        assert a_session.segment("liver").status is Status.SCORED

    def test_slices_scored_before_a_cancel_outlive_the_scoring_of_another_segment(self, a_case):
        half = blank(a_case)
        half["liver"].slices = a_case["liver"].slices[:2]
        session = ReviewSession(half)
        session.update(blank(a_case, "spleen"))
        assert [p.k for p in session.profile("liver")] == [20, 21] and session.segment_counts("spleen").open == 3

    def test_accepts_wait_for_a_segment_that_another_model_has_not_scored_yet(self, a_session, a_case):
        a_session.accept_segment("spleen")
        other = blank(a_case, "liver")
        other["spleen"].n_slices = 0  # nor counted
        other.model["sha256"] = a_case.model["sha256"] = "cd" * 32
        a_session.update(other)
        a_session.update(a_case)
        assert a_session.segment_counts("spleen").accepted == 3

    def test_another_model_replaces_everything(self, a_session, a_case):
        other = blank(a_case, "liver")
        other.model["sha256"] = "cd" * 32
        a_session.update(other)
        assert a_session.segment("spleen").status is Status.NOT_SCORED
        assert a_session.counts.flagged == 2

    def test_other_samples_of_slices_are_no_corrections(self, make_case, make_segment):
        session = ReviewSession(make_case(make_segment("liver", {10: 0.5, 20: 0.5}, n_slices=40)))
        session.accept("liver", 10)
        session.update(make_case(make_segment("liver", {12: 0.5, 22: 0.5}, n_slices=41)))
        assert session.edits() == ()
        session.update(make_case(make_segment("liver", {10: 0.5, 20: 0.5}, n_slices=40)))
        assert session.is_accepted("liver", 10)


class TestAccepts:
    def test_stay_when_the_same_masks_are_scored_again(self, a_session, a_case):
        a_session.accept_segment("liver")
        for s in a_case["liver"].slices:
            s.predicted_dsc -= 0.1
        a_case.model["sha256"] = "cd" * 32
        a_session.update(a_case)
        assert a_session.segment_counts("liver").accepted == 3

    def test_fall_away_where_the_mask_changed_and_this_is_told(self, a_session, edited, heard):
        a_session.accept_segment("liver")
        a_session.update(edited(a_session.case, "liver", {20: 0.7}))
        assert heard[-1].segments == ("liver",) and not a_session.is_accepted("liver", 20)
        assert a_session.open_slices()[-1] == SliceRef("liver", 20)
        assert a_session.is_accepted("liver", 23)

    def test_fall_away_where_the_mask_was_erased_or_a_missed_slice_painted(self, a_session, edited, heard):
        a_session.accept_segment("liver")
        a_session.update(edited(a_session.case, "liver", {25: 0.5}, erased=[20]))
        assert heard[-1].segments == ("liver",)
        assert not a_session.is_accepted("liver", 20) and not a_session.is_accepted("liver", 25)

    def test_of_a_missed_slice_stay_when_its_neighbour_is_edited(self, a_session, a_case):
        a_session.accept("liver", 25)
        a_case["liver"].empty_slices[0].digest = "another+1"
        a_session.update(a_case)
        assert a_session.is_accepted("liver", 25)

    def test_do_not_come_back_by_undo_or_redo_for_another_mask(self, a_session, edited):
        a_session.accept("liver", 20)
        a_session.unaccept("liver", 20)
        a_session.accept("liver", 23)
        a_session.undo()
        a_session.update(edited(a_session.case, "liver", {20: 0.7, 23: 0.7}))
        assert not a_session.can_undo and not a_session.can_redo
        a_session.undo()
        a_session.redo()
        assert a_session.counts.accepted == 0

    def test_other_slices_of_the_same_step_can_still_be_undone(self, a_session, edited):
        a_session.accept_segment("liver")
        a_session.update(edited(a_session.case, "liver", {20: 0.7}))
        assert a_session.undo() == (SliceRef("liver", 23), SliceRef("liver", 25))

    def test_of_a_segment_that_is_gone_do_not_wait_for_another_with_its_id(self, a_session, a_case):
        a_session.accept_segment("spleen")
        without = copy.deepcopy(a_case)
        without.segments.pop()
        a_session.update(without)
        a_session.update(a_case)
        assert a_session.segment_counts("spleen").open == 3 and not a_session.can_undo


class TestCorrections:
    def test_have_the_score_before_and_after(self, a_session, edited):
        a_session.update(edited(a_session.case, "liver", {23: 0.7}))
        a_session.update(edited(a_session.case, "liver", {23: 0.97}))
        assert a_session.edits() == (Edit("liver", 23, 0.6, 0.97),)

    def test_are_progress_when_the_slice_is_not_flagged_any_more(self, a_session, edited):
        a_session.accept("spleen", 6)
        a_session.update(edited(a_session.case, "liver", {20: 0.97, 23: 0.7, 21: 0.99}))
        progress = a_session.counts
        assert (progress.accepted, progress.corrected, progress.open, progress.total) == (1, 1, 4, 6)
        assert progress.share == pytest.approx(2 / 6)

    def test_progress_follows_the_threshold_for_corrected_slices_too(self, a_session, edited):
        a_session.update(edited(a_session.case, "liver", {20: 0.85}))  # it was 0.7
        assert a_session.counts.corrected == 1
        a_session.set_threshold(0.65)
        assert a_session.counts.corrected == 0  # it would not have been flagged
        a_session.set_threshold(0.9)
        assert a_session.counts.corrected == 0  # it is flagged still

    def test_a_missed_slice_that_was_painted(self, a_session, edited):
        a_session.update(edited(a_session.case, "liver", {25: 0.9}))
        assert a_session.edits() == (Edit("liver", 25, 0.2, 0.9),)
        assert a_session.counts.corrected == 1

    def test_a_slice_painted_where_nothing_was_looked_for(self, a_session, edited):
        a_session.update(edited(a_session.case, "liver", {40: 0.9}))
        assert a_session.edits() == (Edit("liver", 40, None, 0.9),)
        assert a_session.counts.corrected == 0

    def test_a_slice_that_was_erased(self, a_session, edited):
        a_session.update(edited(a_session.case, "liver", erased=[20]))
        assert a_session.edits() == (Edit("liver", 20, 0.7, None),)
        assert a_session.counts.corrected == 1

    def test_a_segment_that_was_erased_altogether(self, a_session, edited):
        a_session.update(edited(a_session.case, "spleen", erased=[5, 6, 7, 8]))
        assert [c.k for c in a_session.edits()] == [5, 6, 7, 8]
        assert a_session.counts.corrected == 3

    def test_an_edit_that_was_taken_back_is_none(self, a_session, a_case, edited):
        a_session.update(edited(a_session.case, "liver", {23: 0.97}))
        a_session.update(a_case)
        assert a_session.edits() == ()

    def test_an_empty_slice_beside_an_edited_one_is_none(self, a_session, a_case):
        for empty in a_case["liver"].empty_slices:
            empty.digest, empty.predicted_dsc, empty.missed = "another+1", 0.9, False
        a_session.update(a_case)
        assert a_session.edits() == ()

    def test_a_new_segment_with_the_id_of_one_that_is_gone_is_none(self, a_session, a_case, make_segment):
        new = make_segment("spleen", {5: 0.3, 9: 0.4})
        new.slices[0].digest = "another"
        without, a_case.segments[-1:] = copy.deepcopy(a_case), [new]
        without.segments.pop()
        a_session.update(without)
        a_session.update(a_case)
        assert a_session.edits() == ()

    def test_scores_of_two_models_are_not_compared(self, a_session, a_case, edited):
        a_session.update(edited(a_session.case, "liver", {23: 0.97}))
        other = copy.deepcopy(a_session.case)
        other.model["sha256"] = "cd" * 32
        for s in other["liver"].slices:
            s.predicted_dsc = 0.5
        a_session.update(other)
        assert a_session.edits() == (Edit("liver", 23, None, 0.5),)
        a_session.update(edited(a_session.case, "liver", {20: 0.9}))
        assert a_session.edits()[0] == Edit("liver", 20, 0.5, 0.9)
