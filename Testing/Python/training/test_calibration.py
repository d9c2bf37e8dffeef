"""Intervals hold what they promise on persons that took no part in the calibration."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.scores import CaseScore, aggregate
from QualitySentinelLib.scores.aggregation import flagged_of_correct
from QualitySentinelTrainingLib.calibration import (
    calibrate,
    coverage,
    cross_calibrate,
    missed_thresholds,
    segment_calibrated,
    slice_bounds,
)
from QualitySentinelTrainingLib.evaluation.figures import missed_figures
from QualitySentinelTrainingLib.evaluation.table import EvaluationTable, segment_score


def rows(values, structure="liver"):
    """Slices, or segments, of one patient, predicted so."""
    of = {"patient": np.full(len(values), "a"), "structure": np.full(len(values), structure)}
    return SimpleNamespace(predicted=np.asarray(values), aggregated=np.asarray(values), **of)


@pytest.fixture(scope="module")
def calibration(make_table):
    return calibrate(make_table(0))


def test_nine_in_ten_slices_and_segments_of_fresh_persons_lie_within_their_bounds(make_table, calibration):
    measured = coverage(make_table(1, persons=60, prefix="fresh "), calibration)
    for unit in ("slice", "segment"):
        assert 0.87 < measured[unit]["coverage"] < 0.93
        assert 0.85 < measured[unit]["by_person"]["mean"] < 0.95
        low, high = measured[unit]["coverage_95ci"]
        assert low < measured[unit]["coverage"] < high


def test_bounds_hold_as_well_whatever_subjects_they_were_fitted_on(make_table):
    held = []
    for seed in range(6):
        measured = coverage(make_table(100 + seed, prefix="fresh "), calibrate(make_table(seed)))
        held.append([measured[unit]["coverage"] for unit in ("slice", "segment")])
    assert (np.abs(np.mean(held, axis=0) - 0.9) < 0.02).all()
    assert (np.abs(np.array(held) - 0.9) < 0.06).all()


def test_bounds_are_wider_where_the_model_errs_more(calibration):
    low, high = slice_bounds(rows([0.5, 0.98]), calibration)
    assert high[0] - low[0] > 2 * (high[1] - low[1])


def test_bounds_enclose_the_prediction_and_rise_with_it(calibration):
    x = np.linspace(0, 1, 201)
    low, high = slice_bounds(rows(x), calibration)
    assert (low <= x + 1e-9).all() and (x <= high + 1e-9).all()
    dsc, shown, segment_low, segment_high = segment_calibrated(rows(x), calibration)
    assert (segment_low <= shown + 1e-9).all() and (shown <= segment_high + 1e-9).all()
    for curve in (low, high, segment_low, segment_high):
        assert (np.diff(curve) >= -1e-9).all()
    assert (np.diff(dsc) > 0).all()  # masks that differ in score still do after calibration


def test_a_constant_distortion_of_segments_is_undone(make_table):
    table = make_table(0, persons=60)
    table.predicted = (0.5 + 0.5 * table.predicted).astype(np.float32)  # of empty slices too: all weigh less
    table = table.masked
    calibration = calibrate(table)
    segments = table.segments()
    dsc, shown, *_ = segment_calibrated(segments, calibration)
    assert np.abs(segments.aggregated - segments.dsc).mean() > 0.08
    assert np.abs(dsc - segments.dsc).mean() < 0.04
    assert calibration["segment"]["shown"] == "calibrated" and (shown == dsc).all()
    assert "missed" not in calibration


def test_a_calibration_fitted_to_bad_masks_does_not_lower_the_score_of_correct_ones(make_table):
    """Six in seven masks are worse than they look. They lower what all masks are taken for, the correct ones too."""
    table = make_table(0, persons=60).masked
    table.dsc = np.where(table.kind == "none", 1.0, 0.5).astype(np.float32)
    table.volume_dsc = table.dsc.copy()
    noise = np.random.default_rng(0).normal(0, 0.05, len(table))
    table.predicted = (0.9 + noise).astype(np.float32)
    calibration = calibrate(table)
    segments = table.segments()
    dsc, shown, low, high = segment_calibrated(segments, calibration)
    assert np.abs(dsc - segments.dsc).mean() < np.abs(segments.aggregated - segments.dsc).mean()
    assert calibration["segment"]["shown"] == "area_weighted" and (shown == segments.aggregated).all()
    assert ((low <= shown) & (shown <= high)).all()


def test_the_knots_are_what_a_model_file_may_hold(calibration):
    assert json.loads(json.dumps(calibration)) == calibration
    for part, over in (("slice", "predicted"), ("segment", "aggregated")):
        knots = {name: values for name, values in calibration[part].items() if name != "shown"}
        assert len({len(values) for values in knots.values()}) == 1 and 2 <= len(knots[over]) <= 64
        assert (np.diff(knots[over]) > 0).all()
        assert all(0 <= v <= 1 for values in knots.values() for v in values)


def test_inference_gives_the_bounds_that_were_measured(make_table, calibration):
    table = make_table(3, persons=2)
    segments = table.segments()
    expected = segment_calibrated(segments, calibration)
    score = segment_score(table, np.flatnonzero((table.subject == "p0") & (table.mask == 0)))
    aggregate(score, calibration=calibration)
    assert (score.predicted_dsc, score.dsc_low, score.dsc_high) == pytest.approx([e[0] for e in expected[1:]])
    assert score.slices[0].dsc_low == pytest.approx(
        slice_bounds(table.masked.take([0]), calibration)[0][0]
    )


def test_one_in_twenty_of_the_rightly_empty_slices_is_flagged(make_table, calibration):
    measured = missed_figures(make_table(5, persons=60, prefix="fresh "), calibration)["all"]
    assert 0.03 < measured["false_flags"] < 0.07
    assert measured["flagged"] > 0.9


def test_the_share_of_correct_slices_that_a_threshold_flags_is_the_mean_over_patients(make_table):
    table = make_table(0, persons=2)
    table.dsc[:] = np.where(table.area > 0, 1.0, table.dsc)
    first = table.patient == np.unique(table.patient)[0]
    table.predicted[first], table.predicted[~first] = 0.9, 0.6
    flags = calibrate(table)["flags"]
    assert flags["patients"] == 2
    cases = [CaseScore([], t, {"calibration": {"flags": flags}}) for t in (0.5, 0.7, 1.0)]
    assert list(map(flagged_of_correct, cases)) == [0.0, 0.5, 1.0]
    assert flagged_of_correct(replace(cases[0], own_thresholds=True)) == flags["structures_share"]


def test_each_structure_has_a_threshold_that_flags_one_in_twenty_of_its_correct_slices(make_table):
    table = make_table(0, persons=40)
    table.dsc[:] = np.where(table.area > 0, 1.0, table.dsc)
    names, correct = np.unique(table.structure), table.area > 0
    low = table.structure == names[0]
    table.predicted[:] = np.random.default_rng(0).uniform(0.8, 1.0, len(table)) - 0.05 * low
    flags = calibrate(table)["flags"]
    assert list(flags["structures"]) == list(names)
    for name in names[1:]:
        rows = correct & (table.structure == name)
        assert np.mean(table.predicted[rows] < flags["structures"][name]) <= 0.06
    assert flags["structures"][names[0]] < 0.79 < min(flags["structures"][name] for name in names[1:])
    assert 0.02 < flags["structures_share"] < 0.08


def test_a_structure_with_few_correct_slices_gets_about_the_threshold_of_all(make_table):
    table = make_table(0, persons=40)
    table.dsc[:] = np.where(table.area > 0, 1.0, table.dsc)
    table.predicted[:] = 0.9
    name = np.unique(table.structure)[0]
    low = np.flatnonzero((table.area > 0) & (table.structure == name))
    table.structure[low[2:]], table.predicted[low[:2]] = np.unique(table.structure)[1], 0.1
    assert 0.8 < calibrate(table)["flags"]["structures"][name] < 0.9


def test_a_model_without_that_share_says_nothing():
    assert flagged_of_correct(CaseScore([], 0.8)) is None
    assert flagged_of_correct(CaseScore([], 0.8, {"calibration": {"coverage": 0.9}})) is None


def test_too_few_empty_slices_flag_nothing(make_table):
    table = make_table(0, persons=1, masks=1)
    assert set(missed_thresholds(table).values()) == {0.0}
    assert missed_thresholds(table.masked) == {}


def test_holes_and_ends_are_flagged_apart(make_table):
    table = make_table(0, persons=30)
    rightly = (table.area == 0) & (table.reference_area == 0)
    table.inner = np.arange(len(table)) % 2 == 0
    table.predicted[rightly & table.inner] = 0.5 + table.predicted[rightly & table.inner] / 2
    found = missed_thresholds(table)
    assert found["inner_threshold"] > 0.5
    for name, rows in (("inner_threshold", rightly & table.inner), ("threshold", rightly & ~table.inner)):
        assert np.mean(table.predicted[rows] < found[name]) <= 0.05
    table.inner[:] = False
    assert list(missed_thresholds(table)) == ["threshold"]


def test_cross_calibration_measures_each_person_with_the_others(make_table):
    table = make_table(0, persons=10)
    crossed = cross_calibrate(table)
    assert crossed == calibrate(table)  # what ships was fitted on everybody
    others = table.take(
        ~np.isin(table.patient, [p for p, c in crossed.of_patient.items() if c is crossed.of_patient["p3"]])
    )
    assert crossed.of_patient["p3"] == calibrate(others)
    assert "p3" not in others.patient
    measured = coverage(table, crossed)
    assert measured["cross_fitted"] and 0.85 < measured["slice"]["coverage"] < 0.95


def test_one_person_is_refused(make_table):
    with pytest.raises(UsageError, match="two patients"):
        calibrate(make_table(0, persons=1))


def test_masks_made_to_measure_missed_slices_do_not_raise_the_bounds(make_table):
    table = make_table(0)
    flattered = make_table(1)
    flattered.kind = np.full(len(flattered), "removed end slices")
    flattered.dsc = np.where(flattered.area > 0, 1.0, flattered.dsc).astype(np.float32)
    flattered.volume_dsc = np.ones(len(flattered), np.float32)
    flattered.subject = np.char.add(flattered.subject.astype(str), " too")
    both = EvaluationTable.concatenate([table, flattered])
    plain, with_them = calibrate(table), calibrate(both)
    assert with_them["slice"] == plain["slice"] and with_them["segment"] == plain["segment"]


def test_no_data_set_is_held_much_less_than_the_others(make_table):
    table, odd = make_table(0, persons=40), make_table(1, persons=6, prefix="odd ")
    odd.source = np.full(len(odd), "another scanner")
    odd.predicted = np.clip(odd.dsc + 2.5 * (odd.predicted - odd.dsc), 0, 1)
    together = EvaluationTable.concatenate([table, odd])
    fresh = make_table(2, persons=30, prefix="fresh ")
    fresh.predicted = np.clip(fresh.dsc + 2.5 * (fresh.predicted - fresh.dsc), 0, 1)
    alone = coverage(fresh, calibrate(table))["slice"]["coverage"]
    assert alone < 0.8 < coverage(fresh, calibrate(together))["slice"]["coverage"]
    apart = cross_calibrate(together, by_site=True)
    assert apart.of_patient["odd 0"] == calibrate(table) and apart.of_patient["p0"] == calibrate(odd)


def test_structures_learned_from_few_patients_have_wider_bounds_that_hold_them(make_table):
    def spread(table):
        little = table.structure != "liver"
        errors = np.where(little, 2.5, 1.0) * (table.predicted - table.dsc)
        table.predicted = np.clip(table.dsc + errors, 0, 1).astype(np.float32)
        return table

    table, fresh = spread(make_table(0, persons=40)), spread(make_table(1, persons=40, prefix="fresh "))
    plain, told = calibrate(table), calibrate(table, well_known=["liver"])
    assert {name: told[name] for name in plain} == plain
    alike, apart = (coverage(fresh, one)["slice"]["by_structure"] for one in (plain, told))
    assert alike["liver"] == apart["liver"]
    for structure in alike.keys() - {"liver"}:
        assert alike[structure]["coverage"] < apart[structure]["coverage"]
        assert alike[structure]["mean_width"] < apart[structure]["mean_width"]
    assert "few" not in calibrate(table, well_known=np.unique(table.structure).tolist())


def test_the_order_of_the_table_decides_nothing(make_table):
    table = make_table(0)
    table.predicted[np.isin(table.structure, table.structure[:1])] = 0.0  # many rows that are predicted alike
    assert calibrate(table.take(np.arange(len(table))[::-1])) == calibrate(table)
