"""What a reader's buttons and keys do, in the panel and on the page alike."""

from __future__ import annotations

import pytest

from QualitySentinelLib.review import SliceRef
from QualitySentinelLib.review.presenter import ReviewPresenter


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
    assert presenter.actions()["accept_segment"].text == "Undo accept segment"
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
