"""Whatever a reader does, in whatever order, a review stays consistent."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from QualitySentinelLib.review import ReviewSession, SliceRef
from QualitySentinelLib.review.accepted import HISTORY_LIMIT
from QualitySentinelLib.scores import Status


@pytest.fixture
def a_random_case(make_case, make_segment):
    def make(dice):
        segments = []
        for name in "abcde"[: dice.randint(1, 5)]:
            ks = sorted(dice.sample(range(30), dice.randint(0, 8)))
            empty = [k for k in range(30) if k not in ks] if ks else []
            empty = sorted(dice.sample(empty, min(len(empty), dice.randint(0, 3))))
            steps = [n / 10 for n in range(11)]  # coarse: equal scores are common
            segments.append(
                make_segment(name, {k: dice.choice(steps) for k in ks}, {k: dice.choice(steps) for k in empty})
            )
        return make_case(*segments)

    return make


def accepted_of(session):
    """The accepted slices, as a reader sees them, and dormant ones of slices that have no score now."""
    return {
        SliceRef(segment_id, k)
        for segment_id, kept in session.to_state()["segments"].items()
        for k, _ in kept["accepted"]
    }


def some_slice(session, dice):
    refs = [SliceRef(s.segment_id, p.k) for s in session.segments for p in session.profile(s.segment_id)]
    return dice.choice(refs) if refs else None


def an_action(session, dice, edited):
    """Do something; returns whether it was an accept or unaccept that changed something."""
    segment_id = dice.choice(session.segments).segment_id
    ref = some_slice(session, dice)
    match dice.randrange(11):
        case 0 if ref:
            return bool(session.accept(*ref))
        case 1 if ref:
            return bool(session.unaccept(*ref))
        case 2:
            return bool(session.accept_segment(segment_id))
        case 3:
            return bool(session.unaccept_segment(segment_id))
        case 4:
            session.select(segment_id)
        case 5:
            session.next_flagged()
        case 6:
            session.previous_flagged()
        case 7:
            session.set_threshold(dice.randrange(11) / 10)
        case 8:
            session.go_to(segment_id, dice.randrange(12))
        case 9 if ref:
            session.update(edited(session.case, ref.segment_id, {ref.k: dice.random()}))
        case 10 if ref and session.segment(ref.segment_id).status is not Status.EMPTY:
            session.update(edited(session.case, ref.segment_id, erased=[ref.k]))
    return False


def check(session):
    """What always holds."""
    found = session.open_slices()
    counts = session.counts
    assert len(found) == len(set(found)) == counts.open
    assert all(session.segment_counts(s.segment_id) == session._count(s)[0] for s in session.segments)
    assert not set(found) & accepted_of(session)
    assert counts.flagged + counts.missed == counts.accepted + counts.open
    assert 0 <= counts.share <= 1 and counts.corrected <= len(session.edits())
    order = [s.segment_id for s in session.segments]
    assert [(order.index(i), k) for i, k in found] == sorted((order.index(i), k) for i, k in found)
    dsc = [s.predicted_dsc for s in session.segments if s.predicted_dsc is not None]
    assert dsc == sorted(dsc)
    strips = [p for s in session.segments for p in session.profile(s.segment_id)]
    assert sum(p.flagged for p in strips) == counts.flagged == sum(s.n_flagged for s in session.case.segments)
    assert sum(p.missed for p in strips) == counts.missed
    edited = {(c.segment_id, c.k) for c in session.edits()}
    assert {(p.segment_id, p.k) for p in strips if session.edit_of(p)} <= edited
    if session.selected is not None:
        assert session.selected in order


@pytest.mark.parametrize("seed", range(12))
def test_any_sequence_of_actions_keeps_the_review_consistent(seed, a_random_case, edited):
    dice = random.Random(seed)
    session = ReviewSession(a_random_case(dice))
    for _ in range(60):
        an_action(session, dice, edited)
        check(session)
    again = ReviewSession.from_state(session.case, json.loads(json.dumps(session.to_state())))
    check(again)
    assert (again.to_state(), again.open_slices(), again.edits(), again.counts, again.warnings) == (
        session.to_state(), session.open_slices(), session.edits(), session.counts, (),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_undo_and_redo_go_through_all_states_back_and_forth(seed, a_random_case):
    dice = random.Random(seed)
    session = ReviewSession(a_random_case(dice))
    states, undone = [accepted_of(session)], []
    for _ in range(80):
        if dice.random() < 0.1 and len(states) > 1:
            session.undo()
            undone.append(states.pop())
        elif an_action_without_edits(session, dice):
            states.append(accepted_of(session))
            undone.clear()
        assert accepted_of(session) == states[-1]
    while len(states) > 1:
        assert session.undo()
        undone.append(states.pop())
        assert accepted_of(session) == states[-1]
    assert not session.can_undo and session.undo() == ()
    while undone:
        assert session.redo()
        assert accepted_of(session) == undone.pop()
    assert not session.can_redo and session.redo() == ()


def an_action_without_edits(session, dice):
    """As ``an_action``, masks staying as they are."""
    return an_action(session, dice, lambda case, *args, **kwargs: case)


@pytest.mark.parametrize("seed", range(12))
def test_every_undo_and_redo_changes_something_also_between_edits(seed, a_random_case, edited):
    dice = random.Random(seed)
    session = ReviewSession(a_random_case(dice))
    for _ in range(60):
        an_action(session, dice, edited)
        for possible, step in (("can_undo", session.undo), ("can_redo", session.redo)):
            if getattr(session, possible) and dice.random() < 0.4:
                before = accepted_of(session)
                changed = set(step())
                assert changed and before ^ accepted_of(session) == changed
    steps = 0
    while session.undo():
        steps += 1
        check(session)
    assert steps <= HISTORY_LIMIT and not session.can_undo


@pytest.mark.parametrize("seed", range(12))
def test_a_round_trip_visits_every_open_slice_once(seed, a_random_case, edited):
    dice = random.Random(seed)
    session = ReviewSession(a_random_case(dice))
    for _ in range(20):
        an_action(session, dice, edited)
    found = session.open_slices()
    forwards = [session.next_flagged() for _ in found]
    assert sorted(forwards) == sorted(found)
    backwards = [session.previous_flagged() for _ in found]
    assert sorted(backwards) == sorted(found)
    if not found:
        where = session.current
        assert session.next_flagged() is None and session.previous_flagged() is None and session.current == where


def shown_of(session, segment):
    """The profile, the score and the figures of a segment, counted from nothing."""
    slices = session.profile(segment.segment_id)
    strip = [(replace(s), session.is_accepted(s.segment_id, s.k), session.edit_of(s)) for s in slices]
    return strip, segment.predicted_dsc, session._count(segment)[0]


@pytest.mark.parametrize("seed", range(12))
def test_who_redraws_only_what_events_name_shows_the_review(seed, a_random_case, edited):
    """A view that keeps strips and rows, and renews those of the segments that an event names."""
    dice = random.Random(seed)
    session = ReviewSession(a_random_case(dice))
    shown = {s.segment_id: shown_of(session, s) for s in session.segments}

    def redraw(event):
        for segment_id in event.segments:
            segment = session.segment(segment_id)
            shown[segment_id] = shown_of(session, segment)

    session.observe(redraw)
    for _ in range(40):
        an_action(session, dice, edited)
        if session.can_undo and dice.random() < 0.3:
            session.undo()
        assert shown == {s.segment_id: shown_of(session, s) for s in session.segments}
