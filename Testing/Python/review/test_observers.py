"""What a view hears of a review."""

from __future__ import annotations

import pytest

from QualitySentinelLib.review import Changed, ReviewEvent, SliceRef


def test_every_action_tells_what_to_draw_anew(a_session, heard):
    a_session.set_threshold(0.65)
    a_session.select("spleen")
    a_session.go_to("liver", 23)
    a_session.accept()
    a_session.undo()
    assert heard == [
        ReviewEvent(Changed.THRESHOLD, ("liver",)),
        ReviewEvent(Changed.CURRENT),
        ReviewEvent(Changed.CURRENT),
        ReviewEvent(Changed.ACCEPTED, ("liver",)),
        ReviewEvent(Changed.ACCEPTED, ("liver",)),
    ]


def test_actions_that_change_nothing_tell_nothing(a_session, heard):
    a_session.set_threshold(0.8)
    a_session.unaccept("liver", 20)
    a_session.unaccept_segment("liver")
    a_session.accept_segment("aorta")
    assert not heard
    a_session.select("spleen")
    a_session.select("spleen")
    assert len(heard) == 1


def test_a_threshold_that_flags_the_same_slices_is_told_for_the_number_itself(a_session, heard):
    a_session.set_threshold(0.81)
    assert heard == [ReviewEvent(Changed.THRESHOLD)]


def test_one_that_fails_does_not_keep_the_others_from_hearing(a_session, caplog):
    heard = []

    def broken(event):
        raise RuntimeError("the plot is gone")

    a_session.observe(heard.append)
    a_session.observe(broken)
    a_session.observe(heard.append)
    a_session.select("spleen")
    assert len(heard) == 2
    assert a_session.selected == "spleen"
    assert "the plot is gone" in caplog.text and "current changed" in caplog.text


def test_who_has_unsubscribed_hears_no_more(a_session):
    heard, others = [], []
    stop = a_session.observe(heard.append)
    a_session.observe(others.append)
    stop()
    stop()
    a_session.select("spleen")
    assert not heard and len(others) == 1


def test_one_function_may_watch_twice_and_stop_once(a_session):
    heard = []
    stop = a_session.observe(heard.append)
    a_session.observe(heard.append)
    stop()
    a_session.select("spleen")
    assert len(heard) == 1


def test_one_may_unsubscribe_another_while_an_event_is_told(a_session):
    heard, stops = [], []
    a_session.observe(lambda event: [stop() for stop in stops])
    stops.append(a_session.observe(heard.append))
    a_session.select("spleen")
    assert not heard


def test_the_review_is_complete_when_an_event_is_told(a_session, edited):
    seen = []
    a_session.observe(lambda event: seen.append((a_session.counts.open, a_session.can_undo)))
    a_session.accept_segment("liver")
    a_session.update(edited(a_session.case, "liver", {20: 0.7, 23: 0.7, 25: 0.7}))
    assert seen == [(3, True), (6, False)]


def test_an_observer_may_act_and_all_hear_of_everything_in_one_order(a_session):
    first, last = [], []

    def go_on(event):
        if event.changed is Changed.ACCEPTED:
            a_session.next_flagged()

    a_session.observe(lambda event: first.append(event.changed))
    a_session.observe(go_on)
    a_session.observe(lambda event: last.append(event.changed))
    a_session.select("spleen")
    a_session.accept()
    assert first == last == [Changed.CURRENT, Changed.ACCEPTED, Changed.CURRENT]
    assert a_session.current == SliceRef("spleen", 8)


def test_an_interruption_leaves_the_session_able_to_tell(a_session):
    def interrupted(event):
        raise KeyboardInterrupt

    stop = a_session.observe(interrupted)
    with pytest.raises(KeyboardInterrupt):
        a_session.select("spleen")
    stop()
    heard = []
    a_session.observe(heard.append)
    a_session.select("liver")
    assert [e.changed for e in heard] == [Changed.CURRENT]
