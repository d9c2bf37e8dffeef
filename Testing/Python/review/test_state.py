"""Close the scene and open it again."""

from __future__ import annotations

import copy
import json

import pytest

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.review import Edit, ReviewSession, SliceRef
from QualitySentinelLib.review.state import SCHEMA
from QualitySentinelLib.scores import read_report_json, write_report_json


@pytest.fixture
def a_state(a_session, edited):
    """A review half-way: a threshold, a slice, accepts, a correction and an erased slice."""
    a_session.set_threshold(0.75)
    a_session.update(edited(a_session.case, "liver", {23: 0.97}, erased=[20]))
    a_session.accept_segment("spleen")
    a_session.go_to("liver", 24)
    return a_session.to_state()


def everything(session):
    ids = [s.segment_id for s in session.case.segments]
    return (
        session.threshold, session.current, session.selected, session.counts, session.edits(),
        session.open_slices(), session.to_state(), [session.profile(i) for i in ids],
    )  # fmt: skip


def test_everything_is_still_there(a_session, a_state, tmp_path):
    case = read_report_json(write_report_json(tmp_path / "report.json", a_session.case))
    again = ReviewSession.from_state(case, json.loads(json.dumps(a_state, allow_nan=False)))
    assert everything(again) == everything(a_session)
    assert again.warnings == ()
    assert again.edits() == (Edit("liver", 20, 0.7, None), Edit("liver", 23, 0.6, 0.97))
    assert again.counts.corrected == 2 and again.counts.accepted == 3


def test_own_thresholds_are_kept_and_reviews_of_before_have_none(a_session):
    a_session.set_threshold(0.75, True)
    state = a_session.to_state()
    again = ReviewSession.from_state(a_session.case, state)
    assert (again.threshold, again.own_thresholds) == (0.75, True)
    del state["own_thresholds"]
    assert not ReviewSession.from_state(a_session.case, state).own_thresholds


def test_a_new_review_can_be_kept_too(a_session, a_case):
    assert everything(ReviewSession.from_state(a_case, a_session.to_state())) == everything(a_session)


def test_an_empty_segment_may_be_the_one_selected(a_session, a_case):
    a_session.select("gone")
    again = ReviewSession.from_state(a_case, a_session.to_state())
    assert (again.selected, again.current) == ("gone", None)


def test_the_review_goes_on_as_if_it_had_not_been_interrupted(a_session, a_state, edited):
    again = ReviewSession.from_state(a_session.case, a_state)
    back = edited(a_session.case, "liver", {20: 0.9, 24: 0.5})
    for session in (a_session, again):
        session.update(back)
    assert everything(again) == everything(a_session)
    assert [c.dsc_before for c in again.edits()] == [0.7, 0.6, 0.95]


def test_it_takes_little_room_however_many_slices_there_are(make_case, make_segment):
    case = make_case(*(make_segment(str(n), dict.fromkeys(range(300), 0.9)) for n in range(60)))
    session = ReviewSession(case)
    session.accept("3", 7)
    assert len(json.dumps(session.to_state())) < 1000


def test_what_is_kept_does_not_follow_the_session(a_session, a_state):
    before = copy.deepcopy(a_state)
    a_session.unaccept_segment("spleen")
    assert a_state == before


def test_segments_that_are_gone_are_dropped_with_a_warning(a_session, a_state):
    case = a_session.case
    case.segments = [s for s in case.segments if s.segment_id != "spleen"]
    again = ReviewSession.from_state(case, a_state)
    (warning,) = again.warnings
    assert "spleen" in warning and "\n" not in warning
    assert again.counts.accepted == 0 and len(again.edits()) == 2
    assert "spleen" not in json.dumps(again.to_state())


def test_a_selected_segment_that_is_gone_is_not_selected(a_session, a_case):
    a_session.select("spleen")
    a_case.segments.pop()
    again = ReviewSession.from_state(a_case, a_session.to_state())
    assert again.selected is None and again.current is None and "spleen" in again.warnings[0]


def test_accepts_of_masks_that_were_edited_elsewhere_are_dropped_with_a_warning(a_session, a_state, edited):
    again = ReviewSession.from_state(edited(a_session.case, "spleen", {6: 0.4}), a_state)
    (warning,) = again.warnings
    assert "mask has changed since the review was saved: 1;" in warning
    assert again.open_slices()[0] == SliceRef("spleen", 6) and again.counts.accepted == 2


def test_scores_of_another_model_are_not_compared_with_the_kept_ones(a_session, a_state):
    case = a_session.case
    case.model["sha256"] = "cd" * 32
    again = ReviewSession.from_state(case, a_state)
    assert [(c.k, c.dsc_before) for c in again.edits()] == [(20, None), (23, None)]


def test_what_was_kept_has_a_version(a_state):
    assert a_state["schema"] == SCHEMA == "quality-sentinel-review/1"


def _damage(state, path, value):
    for key in path[:-1]:
        state = state[key]
    if value is KeyError:
        del state[path[-1]]
    else:
        state[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["schema"], "quality-sentinel-review/2"),
        (["schema"], KeyError),
        (["threshold"], 2),
        (["own_thresholds"], "yes"),
        (["threshold"], None),
        (["threshold"], float("nan")),
        (["threshold"], True),
        (["threshold"], 10**400),
        (["model"], 5),
        (["selected"], 7),
        (["selected"], None),
        (["k"], -1),
        (["k"], "24"),
        (["segments"], KeyError),
        (["segments"], []),
        (["segments", "liver"], [1]),
        (["segments", "liver", "first"], KeyError),
        (["segments", "spleen", "accepted"], {}),
        (["segments", "spleen", "accepted", 0], 5),
        (["segments", "spleen", "accepted", 0], [5]),
        (["segments", "spleen", "accepted", 0, 0], 5.5),
        (["segments", "spleen", "accepted", 0, 0], True),
        (["segments", "spleen", "accepted", 0, 1], None),
        (["segments", "liver", "first", 0, 2], "0.7"),
        (["segments", "liver", "first", 0, 2], -1),
        (["segments", "liver", "first", 0, 3], 1),
    ],
)
def test_a_damaged_state_is_refused_in_one_line(a_session, a_state, path, value):
    _damage(a_state, path, value)
    with pytest.raises(InputError, match="saved review cannot be read") as refused:
        ReviewSession.from_state(a_session.case, a_state)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 250


@pytest.mark.parametrize("state", [None, [], "state", 7, {}])
def test_what_is_no_state_is_refused_in_one_line(a_case, state):
    with pytest.raises(InputError, match="saved review cannot be read"):
        ReviewSession.from_state(a_case, state)


def test_keys_of_a_later_version_do_not_matter(a_session, a_state):
    a_state["comment"] = "seen by a later version"
    assert ReviewSession.from_state(a_session.case, a_state).threshold == 0.75
