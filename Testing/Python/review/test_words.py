"""What a reader is told of a slice, in the panel and on the page alike."""

from __future__ import annotations

from QualitySentinelLib.review.presenter import time_left, verdict


def told(session, k, translate=str):
    return verdict(session, session.slice_score("liver", k), translate)


def test_a_slice_is_told_by_its_score_and_state(a_session):
    assert told(a_session, 21) == "DSC 0.90"
    assert told(a_session, 20) == "DSC 0.70, flagged"
    assert told(a_session, 25) == "missed: the structure is expected here"
    a_session.accept("liver", 20)
    assert told(a_session, 20) == "DSC 0.70, flagged, accepted"


def test_an_edit_is_better_or_worse_and_never_a_correction(a_session, edited):
    a_session.update(edited(a_session.case, "liver", {20: 0.5, 21: 0.901, 23: 0.97, 40: 0.9}))
    assert told(a_session, 20) == "DSC 0.50, flagged, edited: worse than before (0.70)"
    assert told(a_session, 21) == "DSC 0.90, edited: same score as before"
    assert told(a_session, 23) == "DSC 0.97, edited: better than before (0.60)"
    assert told(a_session, 40) == "DSC 0.90, edited"
    assert a_session.counts.corrected == 1


def test_a_slice_is_told_in_the_readers_language(a_session):
    german = {"DSC {dsc:.2f}": "DSC {dsc:.2f}", "flagged": "markiert", "accepted": "geprüft"}
    assert told(a_session, 20, german.__getitem__) == "DSC 0.70, markiert"


def test_time_left_is_said_as_people_say_it():
    assert time_left(5, 100, 1.0) == "", "too early"
    assert time_left(100, 100, 60.0) == "" == time_left(0, 100, 60.0)
    assert time_left(50, 100, 22.0) == "about 20 s left"
    assert time_left(10, 100, 60.0) == "about 9 min left"
