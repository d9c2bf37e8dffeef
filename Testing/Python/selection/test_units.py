"""Ranking, budgets and trust, against lists made by hand."""

import numpy as np
import pandas as pd
import pytest

from QualitySentinelLib.errors import UsageError
from QualitySentinelTrainingLib.selection.units import (
    WHOLE,
    Budget,
    CaseScores,
    StructureScores,
    WeakLabeler,
    by_score,
    correction_curve,
    doubtful_and_spread_out,
    most_trusted,
    neutral,
    spread_out,
    units_of,
)


def structure(name, whole, slices, scores, areas=None, confidence=None):
    areas = [5] * len(slices) if areas is None else areas
    sure = None if confidence is None else np.array(confidence, float)
    return StructureScores(name, whole, np.array(slices, int), np.array(areas, int), np.array(scores, float), sure)


def pool(*scores, features=None):
    cases = [CaseScores(f"c{n}", [structure("liver", s, [1, 2], [s, s])]) for n, s in enumerate(scores)]
    for one, values in zip(cases, features or (), strict=False):
        one.features = np.array(values)
    return units_of(cases, "case")


def ranked(order, units, seed=0, annotated=None):
    return [units.case[n] for n in order(units, annotated, np.random.default_rng(seed))]


def test_a_structure_that_was_not_found_says_nothing_of_its_case():
    found, missing = structure("liver", 0.4, [3], [0.4]), structure("spleen", np.nan, [], [])
    units = units_of([CaseScores("a", [found, missing]), CaseScores("b", [missing])], "case")
    assert units.score[0] == 0.4 and np.isnan(units.score[1]) and units.empty.tolist() == [False, True]
    slices = units_of([CaseScores("a", [structure("liver", 0.4, [3, 4], [0.1, 0.9], [7, 0])])], "slice")
    assert slices.slices.tolist() == [3, 4] and slices.empty.tolist() == [False, True]


def test_empty_predictions_are_neither_first_nor_last_and_never_trusted():
    units = pool(0.1, 0.9, 0.5, np.nan)
    units.empty[3] = True
    assert neutral(units.score)[3] == 0.5
    order = ranked(by_score, units)
    assert order[0] == "c1" and order[-1] == "c0"
    trusted = [units.case[n] for n in most_trusted(units, 1.0, np.random.default_rng(0))]
    assert trusted == ["c0", "c2", "c1"]
    assert len(most_trusted(units, 0.5, np.random.default_rng(0))) == 2


def test_ties_are_drawn_by_the_seed_not_by_name():
    units = pool(*[0.5] * 6)
    orders = {tuple(ranked(by_score, units, seed)) for seed in range(8)}
    assert len(orders) > 4 and len({ranked(by_score, units, 3)[0] for _ in range(3)}) == 1


def test_variety_takes_the_farthest_and_leaves_what_is_annotated():
    units = pool(0.5, 0.5, 0.5, 0.5, features=[[0, 0], [0.1, 0], [10, 0], [0, 4]])
    assert ranked(spread_out, units)[0] == "c2" and set(ranked(spread_out, units)[:3]) >= {"c2", "c3"}
    near = ranked(spread_out, units, annotated=np.array([[10.0, 0.0], [0.0, 0.0]]))
    assert near[0] == "c3" and near[-1] in ("c0", "c2")
    doubtful = pool(0.1, 0.9, 0.8, 0.2, features=[[0, 0], [5, 0], [5.1, 0], [0, 5]])
    assert ranked(doubtful_and_spread_out, doubtful)[:2] != ["c1", "c2"]


@pytest.mark.parametrize("text", ["", "0", "-3", "2.5cases", "3 days", "1e3", "cases", "nan"])
def test_a_budget_that_is_none(text):
    with pytest.raises(UsageError, match="--budget .*: give a number above 0"):
        Budget.parse(text)


def test_budgets_are_spent_in_their_own_unit():
    assert Budget.parse("20") == Budget(20, "cases") and Budget.parse("90 minutes").unit == "minutes"
    units = pool(0.9, 0.8, 0.7)
    units.count[:] = [10, 3, 2]
    minutes = Budget.parse("6minutes", 1.0)
    costs = minutes.costs(units.count)
    chosen = minutes.spend([0, 1, 2], costs)
    assert chosen.tolist() == [1, 2] and costs[chosen].sum() <= 6
    assert Budget.parse("2cases").spend([2, 0, 1], np.ones(3)).tolist() == [2, 0]
    with pytest.raises(UsageError, match="--budget 4 cases: all of POOL costs 3 cases; give less"):
        Budget.parse("4cases").check(np.ones(3), "POOL")
    with pytest.raises(UsageError, match="the cheapest case costs 2 minutes"):
        Budget.parse("1minutes").check(costs, "POOL")
    with pytest.raises(UsageError, match="--budget 2 cases: all of POOL costs 1 case; give less"):
        Budget.parse("2").check(np.ones(1), "POOL")


def test_weak_labels_follow_the_published_schedule():
    weak = WeakLabeler()
    assert [weak.number(n) for n in (1, 4, 5, 6, 10)] == [0, 0, 20, 40, 120]


def test_weak_labels_pass_by_confidence_and_are_filled_up():
    rows = [(0.00, 0.45), (0.05, 0.10), (0.10, 0.50), (0.20, 0.48), (0.30, 0.20), (0.00, 0.50)]
    areas = [4, 4, 4, 4, 4, 0]
    cases = [
        CaseScores(f"c{n}", [structure("liver", s, [1], [s], [areas[n]], [c])]) for n, (s, c) in enumerate(rows)
    ]
    units = units_of(cases, "slice")
    weak = WeakLabeler(first_round=1, step=4)
    # bins from 0.10 to 0.50: the top one begins at 0.46; the empty one is never taken, though it "agrees"
    rng = np.random.default_rng(0)
    assert [units.case[n] for n in weak.choose(units, 1, rng)] == ["c2", "c3", "c0", "c1"]
    assert [units.case[n] for n in WeakLabeler(1, 1).choose(units, 1, rng)] == ["c2"]
    assert len(weak.choose(units, 0, rng)) == 0


def test_ties_among_weak_labels_are_drawn():
    units = units_of((CaseScores(f"c{n}", [structure("liver", 0.2, [1], [0.2], [4], [0.5])]) for n in range(9)), "case")
    assert len({tuple(WeakLabeler(1, 3).choose(units, 1, np.random.default_rng(seed))) for seed in range(4)}) > 1


def test_correcting_slices_raises_the_mean_dsc_as_counted_by_hand():
    # mask 0: slices with P and G of 10 each that share 5, and 10 each that share 10; mask 1: P empty, G of 4
    rows = [("b", 0, 4, 4), ("a", 5, 20, 10), ("a", 10, 20, 10)]
    curve = correction_curve(pd.DataFrame(rows, columns=["mask", "shared", "total", "truth"]))
    assert curve == pytest.approx([(0.75 + 0) / 2, (0.75 + 1) / 2, 1.0, 1.0])
    assert units_of([], "slice").case.shape == (0,) and WHOLE == -1
