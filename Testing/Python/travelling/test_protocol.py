"""The travelling model's protocol, with a learner that is simple enough to compute by hand."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from itertools import islice

import pytest

from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelTrainingLib.travelling.protocol import (
    CenterUnavailable,
    Fate,
    Journey,
    TravelOptions,
    TravelState,
    classification_errors,
)

CENTERS = {"A": ["a1", "a2", "a3"], "B": ["b1", "b2"], "C": ["c1"]}


class Adding:
    """A model that is one number, its error; each sample adds its own harm to it."""

    def __init__(self, harm=None, away=()):
        self.error, self.harm, self.away, self.seen = 0.5, harm or {}, set(away), []

    def state(self):
        return self.error

    def restore(self, state):
        self.error = state

    def train(self, center, samples, steps=0):
        self.seen.append((center, tuple(samples)))
        self.error += sum(self.harm.get(sample, 0.0) for sample in samples)
        if center in self.away:
            raise CenterUnavailable
        return {}

    def verify(self):
        return {"error": self.error}

    def expected(self):
        return {"loss": 1.0}


def travel(learner, **options):
    journey = Journey(learner, CENTERS, TravelOptions(**{"cycles": 1, "batch_size": 3, "trial_steps": 0, **options}))
    return [event for visit in journey.visits() for event in visit.events], journey


def fates(events, *samples):
    return [e.fate for e in events if e.samples == samples]


def test_every_center_and_sample_is_visited_once_a_cycle():
    learner = Adding()
    events, journey = travel(learner, cycles=4)
    assert len(events) == 4 * 3 and {e.fate for e in events} == {Fate.ACCEPTED}
    for cycle in range(4):
        seen = sorted(s for _, samples in learner.seen[3 * cycle : 3 * cycle + 3] for s in samples)
        assert seen == ["a1", "a2", "a3", "b1", "b2", "c1"]
    assert journey.state.verifications == 1 + 12  # of the start, and after each update


def test_order_follows_the_seed():
    orders = []
    for seed in (0, 0, 1, 2, 3):
        travel(learner := Adding(), cycles=3, seed=seed)
        orders.append([center for center, _ in learner.seen])
    assert orders[0] == orders[1] and len({tuple(o) for o in orders}) > 1


def test_a_batch_with_one_harmful_sample_costs_that_sample_only():
    learner = Adding({"a2": 0.5})
    events, journey = travel(learner)
    batch = next(e for e in events if e.center == "A")
    assert batch.fate is Fate.REJECTED and len(batch.samples) == 3 and batch.errors == {"error": 1.0}
    assert fates(events, "a1") == fates(events, "a3") == [Fate.ACCEPTED]
    assert fates(events, "a2") == [Fate.REVISIT] and learner.error == 0.5
    assert journey.state.due == {"a2": 2}


def test_a_rejected_sample_rests_is_tried_again_and_then_eliminated():
    learner = Adding({"c1": 0.5})
    events, journey = travel(learner, cycles=5, revisit_after=2)
    assert [(e.cycle, e.fate) for e in events if e.samples == ("c1",)] == [(0, Fate.REVISIT), (2, Fate.ELIMINATED)]
    assert journey.state.eliminated == ["c1"] and not journey.state.due and learner.error == 0.5


def test_a_sample_accepted_when_tried_again_trains_like_the_others():
    class Healed(Adding):
        def train(self, center, samples, steps=0):
            if len([1 for _, s in self.seen if s == ("c1",)]) == 1:
                self.harm = {}
            return super().train(center, samples)

    events, journey = travel(Healed({"c1": 0.5}), cycles=4, revisit_after=1)
    assert [(e.cycle, e.fate) for e in events if e.samples == ("c1",)] == [
        (0, Fate.REVISIT), (1, Fate.ACCEPTED), (2, Fate.ACCEPTED), (3, Fate.ACCEPTED),
    ]  # fmt: skip
    assert not journey.state.due and not journey.state.eliminated


class Slow(Adding):
    """One pass hardly moves it; many steps do."""

    def train(self, center, samples, steps=0):
        for _ in range(steps or 1):
            reported = super().train(center, samples, steps)
        return reported


@pytest.mark.parametrize(("trial_steps", "lost", "error"), [(0, [], 0.54), (16, ["a2"], 0.5)])
def test_a_trial_shows_harm_that_one_update_does_not_show(trial_steps, lost, error):
    learner = Slow({"a2": 0.01})
    events, journey = travel(learner, cycles=4, trial_steps=trial_steps, drift=None, revisit_after=1)
    assert journey.state.eliminated == lost and learner.error == pytest.approx(error)
    if trial_steps:  # accepted samples train by one pass, not by the trial
        assert journey.state.verifications == 1 + 4 * 4 + sum(
            1 + (e.fate is Fate.ACCEPTED) for e in events
        )


@pytest.mark.parametrize(("own_loss", "lost"), [(True, {"f1"}), (False, set())])
def test_a_sample_whose_own_loss_is_higher_than_that_of_good_ones_is_eliminated(own_loss, lost):
    class Telling(Adding):
        def train(self, center, samples, steps=0):
            return super().train(center, samples) | {"loss": 2.0 if "f1" in samples else 0.9}

    centers = {name: [f"{name.lower()}1"] for name in "ABCDEF"}
    journey = Journey(Telling(), centers, TravelOptions(cycles=4, own_loss=own_loss, revisit_after=1, relative=False))
    assert len(list(journey.visits())) == 4 * 7 and set(journey.state.eliminated) == lost


@pytest.mark.parametrize(("relative", "lost"), [(True, {"f1"}), (False, {"a1", "b1", "c1", "d1", "e1", "f1"})])
def test_a_model_that_is_good_by_chance_does_not_eliminate_everybody(relative, lost):
    class Lucky(Adding):
        def train(self, center, samples, steps=0):
            super().train(center, samples)
            self.error = 0.3 + sum(self.harm.get(sample, 0.0) for sample in samples)
            return {}

    learner = Lucky({"f1": 0.2})
    learner.error = 0.1
    centers = {name: [f"{name.lower()}1"] for name in "ABCDEF"}
    journey = Journey(learner, centers, TravelOptions(cycles=8, drift=None, relative=relative, revisit_after=1))
    assert len(list(journey.visits())) == 8 * 7
    assert set(journey.state.eliminated) == lost


def test_tolerance_grows_with_the_batch():
    harm = {"a1": 0.05, "b1": 0.05}  # batches of 3 and 2 may rise by 0.06 and 0.04
    events, _ = travel(Adding(harm), tolerance=0.02, drift=None)
    assert {e.center: e.fate for e in events if len(e.samples) > 1} == {"A": Fate.ACCEPTED, "B": Fate.REJECTED}


@pytest.mark.parametrize(("drift", "highest"), [(None, 0.5 + 10 * 0.06), (0.1, 0.6)])
def test_small_harm_adds_up_only_without_a_limit(drift, highest):
    learner = Adding(dict.fromkeys(["a1", "a2", "a3", "b1", "b2", "c1"], 0.01))
    travel(learner, cycles=10, drift=drift)
    assert learner.error == pytest.approx(highest, abs=0.011)


def test_improvement_is_never_rejected_and_is_compared_with_from_then_on():
    learner = Adding({"a1": -0.4, "b1": 0.3})
    events, _ = travel(learner, drift=None)
    assert [e.fate for e in events if e.center == "A"] == [Fate.ACCEPTED]
    assert fates(events, "b1") == [Fate.REVISIT]


def test_weights_that_are_no_numbers_are_rejected():
    learner = Adding({"c1": math.nan})
    events, _ = travel(learner)
    assert fates(events, "c1") == [Fate.REVISIT] and learner.error == 0.5


def test_a_center_that_does_not_answer_is_passed_over_and_visited_again():
    learner = Adding({"a1": 0.2, "a2": 0.2, "a3": 0.2}, away=["A"])
    journey = Journey(learner, CENTERS, TravelOptions(cycles=2, batch_size=2, drift=None, tolerance=1.0))
    visits = journey.visits()
    first = [event for visit in islice(visits, 4) for event in visit.events]
    assert [e.fate for e in first if e.center == "A"] == [Fate.PASSED_OVER] and learner.error == 0.5
    learner.away.clear()
    assert [e.fate for visit in visits for e in visit.events if e.center == "A"] == [Fate.ACCEPTED] * 2
    assert not journey.state.due and not journey.state.eliminated  # nobody is blamed


def test_a_journey_goes_on_without_a_sample_that_cannot_be_read_any_more():
    rises = {"error, single": {"gone": 0.4, **dict.fromkeys("vwxyz", 0.0)}}
    state = TravelState(reference={"error": 0.5}, best={"error": 0.5}, due={"gone": 0, "c1": 0}, rises=rises)
    options = TravelOptions(cycles=1, batch_size=1, trial_steps=0)
    events = [e for visit in Journey(Adding(), CENTERS, options, state).visits() for e in visit.events]
    assert sorted(s for e in events for s in e.samples) == ["a1", "a2", "a3", "b1", "b2", "c1"]


def test_an_error_that_could_not_be_measured_at_first_has_no_drift():
    learner = Adding({"c1": 0.01})
    learner.verify = lambda: {"error": 0.5} | ({"of a rare structure": 0.01} if learner.error > 0.5 else {})
    events, _journey = travel(learner)
    assert {e.fate for e in events} == {Fate.ACCEPTED}


def test_updates_before_the_guard_are_not_verified():
    learner = Adding({"a2": 0.5})
    events, journey = travel(learner, cycles=2, guarded_from=1)
    assert learner.error == 1.0 and journey.state.verifications == 1 + sum(e.cycle == 1 for e in events)
    assert all(not e.errors for e in events if e.cycle == 0)


def test_a_journey_goes_on_where_it_was_interrupted():
    harm = {"a2": 0.5, "b1": 0.01, "c1": 0.5}
    whole, _ = travel(Adding(harm), cycles=6)
    for done in range(24):  # visits, the revisits after each cycle among them
        learner = Adding(harm)
        first = Journey(learner, CENTERS, TravelOptions(cycles=6, batch_size=3))
        events = [event for visit in islice(first.visits(), done) for event in visit.events]
        kept = TravelState(**json.loads(json.dumps(asdict(first.state))))
        second = Journey(learner, CENTERS, TravelOptions(cycles=6, batch_size=3), kept)
        assert events + [event for visit in second.visits() for event in visit.events] == whole


@pytest.mark.parametrize(
    ("centers", "said"),
    [({}, "no centers"), ({"A": []}, "A: has no samples"), ({"A": ["x"], "B": ["x"]}, "share a name")],
)
def test_centers_that_cannot_be_travelled_are_refused(centers, said):
    with pytest.raises(InputError, match=said):
        Journey(Adding(), centers)


def test_a_model_that_gives_no_numbers_from_the_start_is_refused():
    learner = Adding()
    learner.error = math.nan
    with pytest.raises(InputError, match="before any update"):
        travel(learner)


@pytest.mark.parametrize("options", [{"cycles": 0}, {"batch_size": 0}, {"tolerance": -0.1}, {"drift": math.nan}])
def test_options_that_are_not_sensible_are_refused(options):
    with pytest.raises(UsageError):
        TravelOptions(**options)


def test_rates_have_the_right_denominators_and_the_published_ones_on_demand():
    truth = [True] * 4 + [False] * 10
    predicted = [True, True, True, False] + [True] * 5 + [False] * 5
    assert classification_errors(predicted, truth) == {"false positive rate": 0.5, "false negative rate": 0.25}
    assert classification_errors(predicted, truth, published=True) == {
        "false positive rate": 5 / 4, "false negative rate": 1 / 10,
    }  # fmt: skip
    with pytest.raises(InputError, match="no negatives"):
        classification_errors([True], [True])
