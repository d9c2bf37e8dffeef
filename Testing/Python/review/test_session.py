"""What a reader sees of a review: figures, segments, slices."""

from __future__ import annotations

import subprocess
import sys

import pytest

from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.review import Edit, ReviewSession, SliceRef
from QualitySentinelLib.scores import flag


def test_importing_the_review_loads_neither_torch_nor_qt_nor_slicer(repository):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import QualitySentinelLib.review\n"
        "heavy = {'torch', 'scipy', 'SimpleITK', 'qt', 'ctk', 'vtk', 'slicer', 'PySide6', 'pandas', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    folder = str(repository / "QualitySentinel")
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class TestFigures:
    def test_counts_follow_the_threshold_as_it_moves(self, a_session):
        seen = []
        for threshold in (0.45, 0.8, 0.94, 1.0, 0.8):
            a_session.set_threshold(threshold)
            counts = a_session.counts
            seen.append((counts.flagged, counts.missed, counts.segments, counts.open))
        assert seen == [(1, 1, 2, 2), (5, 1, 2, 6), (9, 1, 3, 10), (11, 1, 3, 12), (5, 1, 2, 6)]

    def test_a_segment_has_figures_of_its_own(self, a_session):
        counts = a_session.segment_counts("liver")
        assert (counts.flagged, counts.missed, counts.open) == (2, 1, 3)
        assert a_session.segment_counts("aorta").open == 0

    def test_the_session_starts_with_the_threshold_it_is_given(self, a_case):
        assert ReviewSession(a_case).threshold == 0.8
        assert ReviewSession(a_case, 0.45).counts.flagged == 1

    @pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), "high"])
    def test_a_wrong_threshold_changes_nothing(self, a_session, threshold):
        with pytest.raises(UsageError, match="between 0 and 1"):
            a_session.set_threshold(threshold)
        assert a_session.threshold == 0.8 and a_session.counts.flagged == 5

    def test_accepted_slices_stay_flagged_but_are_not_open(self, a_session):
        a_session.accept("liver", 20)
        a_session.accept("liver", 25)
        counts = a_session.counts
        assert (counts.flagged, counts.missed, counts.open, counts.accepted) == (5, 1, 4, 2)

    def test_a_review_without_anything_to_do_is_done(self, make_case, make_segment):
        progress = ReviewSession(make_case(make_segment("liver", {1: 0.9}))).counts
        assert (progress.total, progress.share) == (0, 1.0)
        assert ReviewSession(make_case()).counts.share == 1.0


class TestSegments:
    def test_the_worst_comes_first_and_those_without_a_score_last(self, a_session):
        assert [s.segment_id for s in a_session.segments] == ["spleen", "liver", "aorta", "gone"]

    def test_equal_segments_stay_in_the_order_of_the_segmentation(self, make_case, make_segment):
        case = make_case(*(make_segment(i, {1: 0.5}) for i in "cab"))
        assert [s.segment_id for s in ReviewSession(case).segments] == ["c", "a", "b"]

    def test_selecting_one_leads_to_its_worst_slice(self, a_session):
        assert a_session.select("spleen") == SliceRef("spleen", 6) == a_session.current
        assert a_session.selected == "spleen"

    def test_a_missed_slice_may_be_the_worst(self, a_session):
        assert a_session.worst_slice("liver") == SliceRef("liver", 25)

    def test_a_slice_to_look_at_comes_before_a_lower_one_that_is_not_flagged(self, make_case, make_segment):
        case = make_case(make_segment("liver", {1: 0.4, 2: 0.9}, {3: 0.45}), threshold=0.3)
        assert ReviewSession(case).worst_slice("liver") == SliceRef("liver", 3)

    def test_selecting_again_leads_past_what_was_accepted(self, a_session):
        a_session.accept(*a_session.select("liver"))
        assert a_session.select("liver") == SliceRef("liver", 23)
        a_session.accept_segment("liver")
        assert a_session.select("liver") == SliceRef("liver", 21)  # nothing is open: the lowest of the others
        for k in (21, 22, 24):
            a_session.accept("liver", k)
        assert a_session.select("liver") == SliceRef("liver", 25)  # everything is accepted: the lowest of all

    def test_an_empty_segment_can_be_selected_and_has_no_slice(self, a_session):
        assert a_session.select("gone") is None
        assert (a_session.selected, a_session.current) == ("gone", None)
        assert a_session.profile("gone") == ()

    def test_equally_named_segments_can_be_told_apart(self, make_case, make_segment):
        case = make_case(*(make_segment(i, {1: 0.5}, name="liver") for i in "ab"))
        assert ReviewSession(case).labels == {"a": "liver [a]", "b": "liver [b]"}

    @pytest.mark.parametrize("action", ["select", "profile", "worst_slice", "accept_segment", "segment_counts"])
    def test_a_segment_that_is_not_there_is_refused_by_name(self, a_session, action):
        with pytest.raises(UsageError, match="kidney"):
            getattr(a_session, action)("kidney")
        assert a_session.selected is None


class TestSlices:
    def test_the_strip_shows_slices_and_missed_ones_upwards(self, a_session):
        strip = a_session.profile("liver")
        assert [p.k for p in strip] == [20, 21, 22, 23, 24, 25]
        assert [p.flagged for p in strip] == [True, False, False, True, False, False]
        assert [p.missed for p in strip] == [False] * 5 + [True]
        assert [p.position_mm for p in strip][:2] == [0.0, 2.5]
        assert strip[0].slice_index == 79
        assert [p.predicted_dsc for p in strip] == [0.7, 0.9, 0.92, 0.6, 0.95, 0.2]

    def test_the_strip_shows_intervals_where_there_are_some(self, a_case):
        a_case["liver"].slices[0].dsc_low, a_case["liver"].slices[0].dsc_high = 0.5, 0.8
        strip = ReviewSession(a_case).profile("liver")
        assert [(p.dsc_low, p.dsc_high) for p in (strip[0], strip[1], strip[-1])] == [(0.5, 0.8), *[(None, None)] * 2]

    def test_the_strip_shows_what_was_accepted_and_what_was_edited(self, a_session, edited):
        a_session.accept("liver", 20)
        a_session.update(edited(a_session.case, "liver", {23: 0.9}))
        strip = a_session.profile("liver")
        shown = {p.k: (a_session.is_accepted("liver", p.k), a_session.edit_of(p)) for p in strip}
        assert shown[20] == (True, None) and shown[21] == (False, None)
        assert shown[23] == (False, Edit("liver", 23, 0.6, 0.9))

    def test_any_slice_can_be_looked_at_also_one_without_a_score(self, a_session):
        a_session.go_to("liver", 60)
        assert a_session.current == SliceRef("liver", 60)
        assert a_session.slice_score(*a_session.current) is None

    @pytest.mark.parametrize("k", [-1, 1.5, None, "7"])
    def test_what_is_no_slice_number_is_refused(self, a_session, k):
        with pytest.raises(UsageError, match="slice number"):
            a_session.go_to("liver", k)


class TestIndependence:
    def test_the_scores_that_a_session_is_given_are_not_changed_and_may_change(self, a_case):
        session = ReviewSession(a_case)
        session.set_threshold(0.1)
        assert (a_case.threshold, a_case["liver"].n_flagged) == (0.8, 2)
        flag(a_case, 1.0)
        a_case["liver"].slices.clear()
        a_case.model.clear()
        assert session.counts.flagged == 0 and len(session.profile("liver")) == 6 and session.case.model["name"]

    def test_two_sessions_share_nothing(self, a_case):
        one, other = ReviewSession(a_case), ReviewSession(a_case)
        heard = []
        other.observe(heard.append)
        before = other.to_state()
        one.set_threshold(0.9)
        one.next_flagged()
        one.accept()
        one.accept_segment("liver")
        assert other.to_state() == before and not heard and not other.can_undo
