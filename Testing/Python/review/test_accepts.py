"""Accepting slices, and taking it back."""

from __future__ import annotations

import pytest

from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.review import SliceRef, accepted
from QualitySentinelLib.review.accepted import AcceptedSlices


def test_the_slice_that_is_looked_at_is_accepted(a_session):
    a_session.select("spleen")
    assert a_session.accept() == (SliceRef("spleen", 6),)
    assert a_session.is_accepted("spleen", 6) and not a_session.is_accepted("spleen", 5)
    assert a_session.unaccept() == (SliceRef("spleen", 6),)
    assert not a_session.is_accepted("spleen", 6)


def test_accepting_twice_is_one_step(a_session):
    a_session.accept("spleen", 6)
    assert a_session.accept("spleen", 6) == ()
    a_session.undo()
    assert not a_session.can_undo and not a_session.is_accepted("spleen", 6)


def test_a_slice_may_be_accepted_before_the_threshold_flags_it(a_session):
    a_session.accept("aorta", 10)
    a_session.set_threshold(1.0)
    assert SliceRef("aorta", 10) not in a_session.open_slices()
    assert SliceRef("aorta", 11) in a_session.open_slices()


def test_all_flagged_slices_of_a_segment_are_one_step(a_session):
    a_session.accept("liver", 20)
    assert a_session.accept_segment("liver") == (SliceRef("liver", 23), SliceRef("liver", 25))
    assert not a_session.is_accepted("liver", 21)
    a_session.undo()
    assert a_session.open_slices()[3:] == (SliceRef("liver", 23), SliceRef("liver", 25))
    a_session.redo()
    assert a_session.unaccept_segment("liver") == tuple(SliceRef("liver", k) for k in (20, 23, 25))
    a_session.undo()
    assert a_session.segment_counts("liver").open == 0


def test_what_was_undone_is_gone_once_something_else_is_done(a_session):
    a_session.accept("liver", 20)
    a_session.undo()
    assert a_session.can_redo
    a_session.accept("spleen", 5)
    assert not a_session.can_redo and a_session.redo() == ()
    assert not a_session.is_accepted("liver", 20)


def test_undo_and_redo_without_steps_do_nothing(a_session, heard):
    assert a_session.undo() == () and a_session.redo() == () and not heard


def test_undo_leaves_what_the_reader_looks_at_and_the_threshold(a_session):
    a_session.select("spleen")
    a_session.accept()
    a_session.set_threshold(0.5)
    a_session.go_to("liver", 21)
    a_session.undo()
    assert a_session.current == ("liver", 21) and a_session.threshold == 0.5


def test_only_so_many_steps_are_kept(monkeypatch):
    monkeypatch.setattr(accepted, "HISTORY_LIMIT", 3)
    accepts = AcceptedSlices()
    for k in range(5):
        accepts.accept({SliceRef("liver", k): "a"})
    assert [accepts.undo() for _ in range(4)] == [(("liver", 4),), (("liver", 3),), (("liver", 2),), ()]
    assert len(accepts.digests) == 2


@pytest.mark.parametrize(
    ("where", "what"), [((), "select"), (("liver",), "select"), (("liver", 60), "liver: slice 60"), (("x", 1), "x: no")]
)
def test_what_has_no_score_cannot_be_accepted(a_session, where, what):
    for action in (a_session.accept, a_session.unaccept):
        with pytest.raises(UsageError, match=what):
            action(*where)
    assert not a_session.can_undo
