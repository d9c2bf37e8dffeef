"""What a reader's buttons and keys do, in the panel and on the page alike."""

from __future__ import annotations

import json

import pytest

from QualitySentinelLib.review import ReviewPresenter, ReviewSession, SliceRef


@pytest.fixture
def presenter(a_session) -> ReviewPresenter:
    return ReviewPresenter(a_session)


def test_without_a_slice_nothing_happens_and_nothing_is_refused(presenter):
    for name in ("accept", "accept_segment", "undo", "redo"):
        assert not presenter.actions()[name].enabled
        getattr(presenter, name)()
    presenter.go_to(3)
    assert presenter.session.current is None and not presenter.session.accepted
    assert presenter.actions()["next_flagged"].enabled


def test_one_action_goes_through_the_whole_review(presenter):
    presenter.accept_and_next()
    seen = []
    while presenter.session.open_slices():
        seen.append(presenter.session.current)
        presenter.accept_and_next()
    assert len(seen) == len(set(seen)) == 6 and set(presenter.session.accepted) == set(seen)
    assert not presenter.actions()["next_flagged"].enabled


def test_accept_says_and_does_the_opposite_the_second_time(presenter):
    presenter.select("liver")
    assert presenter.actions()["accept"].text == "Accept"
    presenter.accept()
    assert presenter.session.accepted == (SliceRef("liver", 25),)
    assert presenter.actions()["accept"].text == "Undo accept"
    presenter.accept()
    assert presenter.session.accepted == ()


def test_a_segment_is_accepted_and_that_is_undone(presenter):
    presenter.select("spleen")
    presenter.accept_segment()
    assert presenter.session.segment_counts("spleen").open == 0
    assert presenter.actions()["accept_segment"].text == "Undo accepts"
    presenter.accept_segment()
    assert presenter.session.segment_counts("spleen").open == 3
    assert presenter.actions()["accept_segment"].text == "Accept segment"


def test_undo_shows_what_it_undid(presenter):
    presenter.select("liver")
    first = presenter.session.current
    presenter.accept_and_next()
    assert presenter.session.current != first
    presenter.undo()
    assert presenter.session.current == first and not presenter.session.accepted
    presenter.redo()
    assert presenter.session.accepted == (first,)


def test_a_slice_without_a_score_is_not_accepted(presenter):
    presenter.select("liver")
    presenter.go_to(60)
    assert not presenter.actions()["accept"].enabled
    presenter.accept_and_next()
    assert not presenter.session.accepted and presenter.session.current != SliceRef("liver", 60)


def test_buttons_speak_the_readers_language(a_session):
    german = ReviewPresenter(a_session, {"Undo": "Rückgängig"}.get)
    assert german.actions()["undo"].text == "Rückgängig"


class TestWhatIsShown:
    """A good liver, a spleen that needs work, an empty segment (see ``a_case``); the liver's name is not nice."""

    @pytest.fixture
    def shown(self, a_case) -> ReviewPresenter:
        a_case["liver"].name, a_case["aorta"].dsc_low, a_case["aorta"].dsc_high = "liver\n(old)", 0.8, 0.95
        return ReviewPresenter(ReviewSession(a_case), place_of=lambda k: (99 - k, -50.0 + 2.5 * k))

    def test_rows_are_worst_first_on_one_line_each(self, shown):
        rows = shown.rows()
        assert [row.name for row in rows] == ["spleen", "liver (old)", "aorta", "gone"]
        assert [(row.flagged, row.n_scored, row.missed, row.open) for row in rows] == [
            (3, 4, 0, 3), (2, 5, 1, 3), (0, 2, 0, 0), (0, 0, 0, 0),
        ]  # fmt: skip
        assert [bool(row.dsc) for row in rows] == [True, True, True, False]
        assert "likely 0.80 to 0.95" in rows[2].tip and "is empty" in rows[3].tip
        assert not rows[2].done, "there was nothing to do"
        assert shown.rows(["liver"]) == [rows[1]]

    def test_a_segment_that_is_dealt_with_is_done(self, shown):
        shown.session.accept_segment("spleen")
        assert shown.rows()[0].done

    def test_bars_mark_what_a_reader_must_know(self, shown):
        shown.select("liver")
        shown.session.accept("liver", 20)
        bars = shown.bars()
        assert [(b.k, b.mark) for b in bars if b.mark] == [(20, "accepted"), (23, "flagged"), (25, "missed")]
        assert bars[0].tip == "slice 79 (S 0.0 mm): DSC 0.70, flagged, accepted"
        assert bars[-1].missed and "missed" in bars[-1].tip

    @pytest.mark.parametrize("segment_id", [None, "gone"])
    def test_without_slices_there_are_no_bars(self, shown, segment_id):
        if segment_id:
            shown.select(segment_id)
        assert shown.bars() == () and shown.current().k == -1

    def test_the_current_slice_goes_by_the_files_own_number(self, shown):
        shown.select("liver")
        shown.go_to(20)
        current = shown.current()
        assert (current.segment, current.place, current.told) == (
            "liver (old)", "slice 79 (S 0.0 mm)", "DSC 0.70, flagged",
        )  # fmt: skip
        shown.go_to(60)
        assert shown.current().index == "39"
        assert (shown.current().place, shown.current().told) == ("slice 39 (S 100.0 mm)", "no score at this slice")

    def test_a_slice_tells_whom_to_look_at_worst_first(self, make_case, make_segment):
        shown = ReviewPresenter(ReviewSession(make_case(
            make_segment("liver", {1: 0.6, 2: 0.9}), make_segment("spleen", {1: 0.3, 3: 0.5}, {2: 0.1})
        )))  # fmt: skip
        assert [(s.id, s.missed) for s in shown.open_in_slice(1)] == [("spleen", False), ("liver", False)]
        assert [(s.id, s.missed) for s in shown.open_in_slice(2)] == [("spleen", True)]
        shown.session.accept("spleen", 2)
        assert shown.open_in_slice(2) == shown.open_in_slice(40) == []

    def test_another_scale_has_other_colors(self, shown):
        before = shown.rows()[0].color
        shown.scale = "color-blind-safe"
        assert shown.rows()[0].color != before
        assert shown.color(None) == shown.color(float("nan"))

    def test_the_window_is_that_of_the_structure(self, shown):
        assert shown.window is None
        shown.select("spleen")
        assert shown.window.name == "soft tissue"

    def test_an_action_that_does_nothing_says_why(self, shown):
        assert shown.actions()["accept"].reason and not shown.actions()["next_flagged"].reason

    def test_everything_is_json(self, shown):
        shown.select("liver")
        parts = [*shown.rows(), *shown.bars(), shown.current(), *shown.open_in_slice(20), *shown.actions().values()]
        json.dumps(list(map(vars, parts)), allow_nan=False)


def test_the_threshold_says_how_often_it_flags_in_vain(presenter):
    assert "correct masks" not in presenter.threshold_note
    flags = {"threshold": [0.0, 1.0], "share": [0.0, 1.0], "patients": 3}
    presenter.session.case.model["calibration"] = {"flags": flags}
    presenter.session.set_threshold(0.25)
    assert "25% of the slices of correct masks" in presenter.threshold_note


def test_with_own_thresholds_flags_line_and_notes_are_of_the_structure(presenter):
    session = presenter.session
    assert not presenter.own_thresholds.enabled and presenter.own_thresholds.reason
    flags = {"threshold": [0.0, 1.0], "share": [0.0, 1.0], "structures": {"liver": 0.65}, "structures_share": 0.06}
    session.case.model["calibration"] = {"flags": flags}
    assert presenter.own_thresholds.enabled and not presenter.own_thresholds.reason
    before, told = session.segment_counts("liver").flagged, []
    session.observe(told.append)
    session.set_threshold(session.threshold, True)
    assert told[0].changed == "threshold" and told[0].segments == ("liver",)
    below = sum(s.predicted_dsc < 0.65 for s in session.segment("liver").slices)
    assert session.segment_counts("liver").flagged == below < before
    assert "6% of the slices of correct masks" in presenter.threshold_note
    session.select("liver")
    assert presenter.threshold == 0.65
    session.select("spleen")
    assert presenter.threshold == session.threshold == 0.8
    session.set_threshold(0.7)
    assert session.own_thresholds, "the slider leaves it on"
    session.set_threshold(0.8, False)
    assert session.segment_counts("liver").flagged == before
