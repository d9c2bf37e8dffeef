"""Space and Shift+Space: through everything that needs a look."""

from __future__ import annotations

from QualitySentinelLib.review import ReviewSession, SliceRef

TOUR = [("spleen", 5), ("spleen", 6), ("spleen", 8), ("liver", 20), ("liver", 23), ("liver", 25)]


def test_next_goes_through_the_worst_segment_first_upwards_and_comes_round(a_session):
    assert [a_session.next_flagged() for _ in range(7)] == [*TOUR, TOUR[0]]


def test_previous_goes_the_same_way_back(a_session):
    assert [a_session.previous_flagged() for _ in range(7)] == [*TOUR[::-1], TOUR[-1]]


def test_next_and_previous_undo_each_other(a_session):
    a_session.next_flagged()
    for ref in TOUR[1:]:
        assert a_session.next_flagged() == ref
        a_session.previous_flagged()
        assert a_session.next_flagged() == ref == a_session.current


def test_it_goes_on_from_where_the_reader_looks(a_session):
    a_session.go_to("liver", 21)
    assert a_session.next_flagged() == SliceRef("liver", 23)
    a_session.go_to("liver", 21)
    assert a_session.previous_flagged() == SliceRef("liver", 20)
    a_session.go_to("aorta", 10)
    assert a_session.next_flagged() == SliceRef("spleen", 5)
    a_session.select("gone")
    assert a_session.previous_flagged() == SliceRef("liver", 25)


def test_accepted_slices_are_passed_over(a_session):
    a_session.accept("spleen", 6)
    a_session.accept_segment("liver")
    assert [a_session.next_flagged() for _ in range(3)] == [("spleen", 5), ("spleen", 8), ("spleen", 5)]


def test_accepting_one_after_the_other_shows_every_slice_once(a_session):
    seen = []
    while ref := a_session.next_flagged():
        seen.append(ref)
        a_session.accept()
    assert seen == TOUR
    assert a_session.counts.share == 1.0
    assert a_session.current == TOUR[-1]  # with nothing left, the views stay


def test_a_single_open_slice_is_next_to_itself(make_case, make_segment):
    session = ReviewSession(make_case(make_segment("liver", {3: 0.1})))
    assert session.next_flagged() == session.next_flagged() == session.previous_flagged() == SliceRef("liver", 3)


def test_the_tour_follows_the_threshold(a_session):
    a_session.set_threshold(0.45)
    assert [a_session.next_flagged() for _ in range(3)] == [("spleen", 6), ("liver", 25), ("spleen", 6)]


def test_a_slice_that_is_still_low_after_its_correction_is_visited_again(a_session, edited):
    a_session.update(edited(a_session.case, "spleen", {6: 0.5}))
    assert a_session.open_slices()[1] == SliceRef("spleen", 6)


def test_after_a_correction_the_rest_of_the_segment_comes_next_wherever_it_is_in_the_table(a_session, edited):
    a_session.go_to("spleen", 5)
    a_session.update(edited(a_session.case, "spleen", {5: 0.99, 6: 0.99, 7: 0.99}))
    assert [s.segment_id for s in a_session.segments][:2] == ["liver", "spleen"]
    assert a_session.next_flagged() == SliceRef("spleen", 8)
    assert a_session.next_flagged() == SliceRef("liver", 20)
