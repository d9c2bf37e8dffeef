"""When edits are scored again, with a clock and an executor that the test moves."""

from __future__ import annotations

import pytest

from QualitySentinelLib.review.rescoring import Rescoring


class Work:
    """A clock, and scorings that begin and end when the test says so."""

    def __init__(self, stops_at_once: bool = True):
        self.stops_at_once, self.begun, self.told, self.stopped = stops_at_once, [], [], 0
        self.rescoring = Rescoring(lambda begin: self._clock(begin), self._start, lambda *what: self.told.append(what))

    def _clock(self, begin):
        self.running, self._begin = False, begin
        return self

    def start(self):
        self.running = True

    def stop(self):
        self.running = False

    def pause(self):
        """Nothing is edited for some time."""
        if self.running:
            self.running = False
            self._begin()

    def _start(self, review, segment_ids, end):
        self.begun.append((review, sorted(segment_ids)))
        self.end = end

        def stop():
            self.stopped += 1
            if self.stops_at_once:
                end(None)

        return stop


@pytest.fixture(params=[True, False], ids=["stops at once", "stops later"])
def work(request):
    return Work(request.param)


def test_edits_shortly_after_each_other_are_scored_together(work):
    work.rescoring.edited("a", {"liver"})
    work.rescoring.edited("a", {"spleen"})
    assert work.rescoring.busy("a") and work.begun == []
    work.pause()
    work.end(None)
    assert work.begun == [("a", ["liver", "spleen"])] and not work.rescoring.busy("a")
    assert work.told == [("a", None), ("a", None)]


def test_a_scoring_that_cannot_begin_has_failed_and_the_next_edit_is_scored(work):
    begin, error = work._start, ValueError("no such device")

    def refuse(*_):
        raise error

    work.rescoring._start = refuse
    work.rescoring.edited("a", {"liver"})
    work.pause()
    assert work.told == [("a", error)] and work.rescoring.unscored("a") == {"liver"}
    work.rescoring._start = begin
    work.rescoring.edited("a", {"spleen"})
    work.pause()
    assert work.begun == [("a", ["liver", "spleen"])]


def test_an_edit_during_scoring_begins_it_anew_with_both(work):
    work.rescoring.edited("a", {"liver"})
    work.pause()
    work.rescoring.edited("a", {"spleen"})
    assert work.stopped == 1 and len(work.begun) == 1, "after a pause"
    work.rescoring.edited("a", {"spleen"})
    assert work.stopped == 1
    work.pause()
    if not work.stops_at_once:
        assert len(work.begun) == 1, "the one before has not ended"
        work.end(None)
    assert work.begun == [("a", ["liver"]), ("a", ["liver", "spleen"])]
    work.end(None)
    assert not work.rescoring.busy("a") and not work.running


def test_two_reviews_take_turns(work):
    work.rescoring.edited("a", {"liver"})
    work.rescoring.edited("b", {"spleen"})
    work.pause()
    work.end(None)
    work.end(None)
    assert [review for review, _ in work.begun] == ["a", "b"] and work.stopped == 0


def test_edits_wait_until_they_are_enabled(work):
    work.rescoring.edited("a", {"liver"})
    work.pause()
    work.rescoring.enabled = False
    if not work.stops_at_once:
        work.end(None)
    work.rescoring.edited("a", {"spleen"})
    work.pause()
    assert len(work.begun) == 1 and work.rescoring.unscored("a") == {"liver", "spleen"}
    work.rescoring.enabled = True
    work.pause()
    assert work.begun[1:] == [("a", ["liver", "spleen"])] and work.rescoring.unscored("a") == set()


def test_what_failed_is_scored_with_the_next_edit(work):
    work.rescoring.edited("a", {"liver"})
    work.pause()
    work.end(error := ValueError("no model"))
    assert work.rescoring.unscored("a") == {"liver"} and work.told[-1] == ("a", error)
    work.rescoring.edited("a", {"spleen"})
    work.rescoring.begin()
    assert work.begun[-1] == ("a", ["liver", "spleen"]) and not work.running


def test_what_was_forgotten_is_not_scored(work):
    work.rescoring.edited("a", {"liver"})
    work.rescoring.edited("b", {"lung"})
    work.pause()
    assert work.rescoring.taken("a") == {"liver"} and work.rescoring.taken("b") == {"lung"}
    work.pause()
    if not work.stops_at_once:
        work.end(ValueError("stopped"))
    assert work.begun == [("a", ["liver"])] and not work.rescoring.busy("a") and work.rescoring.unscored("a") == set()
