"""Calibration: from raw scores to honest intervals, to the volumetric DSC of a segment, and to flags of missed slices.

What :func:`calibrate` gives is written into the model file as ``metadata["calibration"]`` and read by
``QualitySentinelLib.scores``. Bounds are conformal: of a family of nested bands around the prediction, wider where the
model errs more (local quantiles), the narrowest is taken that holds the asked share of rows it was not fitted on
(nested conformal prediction: Gupta, Kuchibhotla, Ramdas 2022). Patients are cross-fitted: in each of five folds of
patients the bands are fitted on the other four, the share held is counted on the pooled left-out rows (cross-conformal:
Vovk 2015), and the band that ships is fitted on everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import isotonic_regression

from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.scorer.plan import REACH_MM
from QualitySentinelLib.scores.aggregation import calibration_for, missed_below, segment_dsc

from .evaluation.table import EvaluationTable
from .stats import mean_interval

if TYPE_CHECKING:
    import pandas as pd

COVERAGE = 0.9
"""Share of unseen cases that the intervals are meant to hold."""

FALSE_FLAGS = 0.05
"""Share of empty slices, rightly empty, that may be flagged as missed; of slices of a structure's correct masks that
its own threshold may flag."""

PATIENTS = 4
"""A structure that fewer patients were trained on is little known: such structures get wider bounds of their own."""

KNOTS = np.round(np.linspace(0.0, 1.0, 41), 6)
LEAST_OF_SITE = 0.1
"""On no data set may the bounds hold less than the asked share by more than this: half of it made the bundled model's
bounds of slices 1.4 times as wide, for the sake of one patient."""
_FOLDS = 5
_WINDOW_SHARE, _FEWEST, _MOST = 1 / 40, 150, 2000
_LEVELS = np.concatenate([np.linspace(0.5, 0.98, 49), [0.99, 0.995, 1.0]])
"""Shares of the rows around a knot that the nested bands hold there."""
_SNAP = 0.005
"""A bound this near to 0 or 1 is taken to be there."""
_GOLDEN = (5**0.5 - 1) / 2
_HAIR = 1e-6
"""True DSC is float32: a bound of exactly 1 must hold it."""
_CORRECT = 0.95
"""A mask with this true DSC has nothing that a reader would mend."""
_FEW = 40
"""A structure with so many slices of correct masks gets the mean of its own threshold and that of all structures."""
_STRICT = 0.02
"""Share of the identity in the segment map: it keeps scores that differ different, also where isotony makes a step."""


def calibrate(
    evaluated: EvaluationTable, coverage: float = COVERAGE, false_flags: float = FALSE_FLAGS,
    well_known: Collection[str] = (),
) -> dict:  # fmt: skip
    """Everything that turns raw scores into honest ones, from subjects that the model never saw.

    Bounds and segment scores are fitted :func:`without_removed`, the threshold of missed slices on all.

    Args:
        evaluated: slices of the calibration subjects: neither trained nor tested on.
        coverage: share of slices, and of segments, whose true DSC the bounds are to hold.
        false_flags: share of rightly empty slices that may be flagged.
        well_known: structures that :data:`PATIENTS` or more were trained on, where that is told.

    Returns:
        ``{"coverage", "slice": {"predicted", "low", "high"}, "segment": {"aggregated", "dsc", "low", "high",
        "shown"}, "missed": {"threshold", "inner_threshold", "false_flags", "reach_mm"}, "flags": {"threshold",
        "share", "patients", "structures", "structures_share"}, "few": {"slice", "segment", "known", "patients"}}``:
        knots to interpolate linearly between, all in 0..1, and which segment score is shown
        (:func:`better_segment_score`). ``few`` has the curves of structures that are not ``known``. ``missed`` is left
        out when there are no rightly empty slices, ``flags`` when no slice is correct, ``few`` without ``well_known``
        or when there are too few slices of the others.

    Raises:
        UsageError: fewer than two patients, or no masked slices.
    """
    judged = without_removed(evaluated)
    if len(np.unique(judged.masked.patient)) < 2:
        raise UsageError("calibration needs slices of at least two patients; evaluate more subjects")
    segments, shown = judged.segments(), better_segment_score(evaluated)
    map_ = _listed(_monotone_map(segments.aggregated, segments.dsc))
    centre_of = _monotone_map if shown == "calibrated" else _identity

    def bounds(of: EvaluationTable) -> np.ndarray:
        """(low, high) at the knots, of slices and of segments ``[2, 2, knots]``."""
        masked, segments = of.masked, of.segments()
        of_slices = _conformal(masked.predicted, masked.dsc, masked, coverage, _identity)
        return np.array([of_slices, _conformal(segments.aggregated, segments.dsc, segments, coverage, centre_of)])

    def curves(bounds: np.ndarray) -> dict:
        of_slices, of_segments = ({"low": _listed(low), "high": _listed(high)} for low, high in bounds)
        segment = {"aggregated": _listed(KNOTS), "dsc": map_, "shown": shown} | of_segments
        return {"slice": {"predicted": _listed(KNOTS)} | of_slices, "segment": segment}

    of_all = bounds(judged)
    result = {"coverage": coverage} | curves(of_all)
    little_known = judged.take(~np.isin(judged.structure, list(well_known)))
    if well_known and len(np.unique(little_known.masked.patient)) > 1 and len(little_known.masked) >= _FEWEST:
        low, high = np.moveaxis(np.array([of_all, bounds(little_known)]), 2, 0)
        wider = np.stack([low.min(axis=0), high.max(axis=0)], axis=1)
        result["few"] = {"known": sorted(well_known), "patients": PATIENTS} | curves(wider)
    if thresholds := missed_thresholds(evaluated, false_flags):
        result["missed"] = thresholds | {"false_flags": false_flags, "reach_mm": REACH_MM}
    if flags := flagged_of_correct(evaluated):
        result["flags"] = flags
    return result


def flagged_of_correct(evaluated: EvaluationTable) -> dict:
    """How many slices of correct masks a threshold flags in vain: the mean over patients of each one's share.

    Returns:
        ``threshold`` and ``share``: knots, 0..1; ``patients``: how many. With two or more, ``structures``:
        :func:`structure_thresholds` by name, and ``structures_share``: the share that they flag, of patients that they
        were not set on. Empty when no slice is correct.
    """
    correct = (evaluated.area > 0) & (evaluated.dsc >= _CORRECT)
    patients = np.unique(evaluated.patient[correct])
    if not len(patients):
        return {}
    predicted = [np.sort(evaluated.predicted[correct & (evaluated.patient == patient)]) for patient in patients]
    share = np.mean([np.searchsorted(of_one, KNOTS) / len(of_one) for of_one in predicted], axis=0)
    result = {"threshold": _listed(KNOTS), "share": _listed(share), "patients": len(patients)}
    if len(patients) > 1:
        rows = evaluated.take(correct)
        fold, flagged = _folds_of(rows.patient), np.zeros(len(rows), bool)
        for number in np.unique(fold):
            of_all, own = structure_thresholds(rows.take(fold != number))
            below = np.array([own.get(name, of_all) for name in rows.structure])
            flagged |= (fold == number) & (rows.predicted < below)
        shares = [flagged[rows.patient == patient].mean() for patient in patients]
        result |= {"structures": structure_thresholds(rows)[1], "structures_share": round(float(np.mean(shares)), 4)}
    return result


def structure_thresholds(correct: EvaluationTable) -> tuple[float, dict[str, float]]:
    """(Threshold of all structures, thresholds by structure), 0..1: each flags :data:`FALSE_FLAGS` of these slices.

    ``correct`` holds slices of correct masks. A structure's threshold is drawn towards that of all where there are few.
    """
    of_all, own = float(np.quantile(correct.predicted, FALSE_FLAGS)), {}
    for name in np.unique(correct.structure):
        predicted = correct.predicted[correct.structure == name]
        n = len(predicted)
        own[str(name)] = round(float(n * np.quantile(predicted, FALSE_FLAGS) + _FEW * of_all) / (n + _FEW), 4)
    return of_all, own


def better_segment_score(evaluated: EvaluationTable) -> str:
    """Which segment score is nearer to the true volumetric DSC on patients left out of the fit.

    Correct masks, which are what a reader meets most, must not lose: bad masks alone would have every score lowered.

    Returns:
        ``"calibrated"`` when its MAE is lower over all masks, those perfect but for removed slices included, and over
        the correct ones (true DSC of at least 0.95) higher by less than a hundredth, which two decimals do not show;
        else ``"area_weighted"``.
    """
    segments, fitted_on = evaluated.segments(), without_removed(evaluated).segments()
    fold = _folds_of(fitted_on.patient)
    calibrated = np.interp(segments.aggregated, KNOTS, _monotone_map(fitted_on.aggregated, fitted_on.dsc))
    for number in np.unique(fold):
        own, others = np.isin(segments.patient, fitted_on.patient[fold == number]), fold != number
        map_ = _monotone_map(fitted_on.aggregated[others], fitted_on.dsc[others])
        calibrated[own] = np.interp(segments.aggregated[own], KNOTS, map_)
    gain = np.abs(segments.aggregated - segments.dsc) - np.abs(calibrated - segments.dsc)
    correct = segments.dsc >= _CORRECT
    better = gain.mean() > 0 and (not correct.any() or gain[correct].mean() > -0.01)
    return "calibrated" if better else "area_weighted"


def without_removed(evaluated: EvaluationTable) -> EvaluationTable:
    """The masks but for those that are perfect apart from removed slices; all of them when there are no others.

    Those are there to measure missed slices. Nobody meets so many perfect masks: bounds fitted on them would promise a
    DSC of 1 to whatever looks good.
    """
    others = np.flatnonzero(~np.char.startswith(evaluated.kind.astype(str), "removed"))
    return evaluated.take(others) if len(others) else evaluated


def missed_thresholds(evaluated: EvaluationTable, false_flags: float = FALSE_FLAGS) -> dict[str, float]:
    """The predictions below which empty slices are flagged: at most ``false_flags`` of the rightly empty lie below.

    ``inner_threshold`` is that of slices with slices of the mask on both sides, ``threshold`` that of those beyond its
    ends. A hole in a mask is rarely right, an end often is: with one threshold for both, nearly all false flags would
    be at ends, and holes would be missed for their sake.

    Each is an order statistic of the rightly empty slices there, so that one more of them is flagged with no more than
    that probability; 0.0 (nothing is flagged) when they are too few for that. Where there are none inside, ends'
    threshold counts there too, and the other way round; without any the dict is empty.
    """
    rightly = (evaluated.area == 0) & (evaluated.reference_area == 0)
    places = {"threshold": rightly & ~evaluated.inner, "inner_threshold": rightly & evaluated.inner}
    found = {}
    for name, rows in places.items():
        kept = np.sort(evaluated.predicted[rows])
        if len(kept):
            rank = int(np.floor(false_flags * (len(kept) + 1)))
            found[name] = float(kept[rank - 1]) if rank else 0.0
    return {"threshold": found["inner_threshold"]} if list(found) == ["inner_threshold"] else found


class CrossCalibration(dict):
    """The calibration fitted on everybody, with one for each patient that was fitted on others.

    It is what :func:`calibrate` gives; the functions below that take patients use each one's own, so that everything
    measured with it is measured on patients that took no part in it.
    """

    of_patient: dict[str, dict]  # calibration by patient


def cross_calibrate(evaluated: EvaluationTable, by_site: bool = False, **options) -> CrossCalibration:
    """Calibrate on everybody, and for measuring once more without the patients of each fold.

    Args:
        by_site: each fold is a data set: what holds there was learned elsewhere.
        options: of :func:`calibrate`.

    Raises:
        UsageError: fewer than three patients.
    """
    if len(np.unique(evaluated.patient)) < 3:
        raise UsageError("cross-calibration needs slices of at least three patients; evaluate more subjects")
    result = CrossCalibration(calibrate(evaluated, **options))
    result.of_patient = {}
    fold = _folds_of(evaluated.patient)
    for left_out in _sites(evaluated.source) if by_site else (fold == number for number in np.unique(fold)):
        calibration = calibrate(evaluated.take(~left_out), **options)
        result.of_patient |= dict.fromkeys(np.unique(evaluated.patient[left_out]).tolist(), calibration)
    return result


def slice_bounds(masked: EvaluationTable, calibration: Mapping) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of the true DSC of slices, [N] each."""
    predicted, bounds = masked.predicted, np.empty((2, len(masked.predicted)))
    for rows, own in _own(masked, calibration):
        curve = own["slice"]
        bounds[:, rows] = [np.interp(predicted[rows], curve["predicted"], curve[name]) for name in ("low", "high")]
    return bounds[0], bounds[1]


def segment_calibrated(segments: pd.DataFrame, calibration: Mapping) -> tuple[np.ndarray, ...]:
    """(calibrated DSC, DSC shown, low, high) of ``EvaluationTable.segments``, [M] each, as inference has them."""
    aggregated, results = np.asarray(segments.aggregated), np.empty((4, len(segments.aggregated)))
    for rows, own in _own(segments, calibration):
        curve = own["segment"]
        calibrated = np.interp(aggregated[rows], curve["aggregated"], curve["dsc"])
        results[:, rows] = calibrated, *segment_dsc(aggregated[rows], curve)
    return tuple(results)


def missed_flags(empty: EvaluationTable, calibration: Mapping) -> np.ndarray:
    """Which empty slices are flagged as missed, bool [N], as inference flags them."""
    flagged = np.zeros(len(empty), bool)
    for rows, own in _own(empty, calibration):
        if "missed" in own:
            at_ends, inside = missed_below(own["missed"])
            flagged[rows] = empty.predicted[rows] < np.where(empty.inner[rows], inside, at_ends)
    return flagged


def _own(of: EvaluationTable | pd.DataFrame, calibration: Mapping) -> Iterator[tuple[np.ndarray, Mapping]]:
    """Rows and the calibration to be used for them: that of their patient, for their structure."""
    import pandas as pd

    of_patient = getattr(calibration, "of_patient", {})
    groups = pd.DataFrame({"patient": of.patient, "structure": of.structure}).groupby(["patient", "structure"])
    for (patient, structure), rows in groups.indices.items():
        yield rows, calibration_for(structure, of_patient.get(patient, calibration))


def coverage(evaluated: EvaluationTable, calibration: Mapping) -> dict:
    """How well a calibration holds on subjects that took no part in it (or, a cross-calibration, on its own).

    Returns:
        ``nominal``; ``cross_fitted``: each patient was measured with a calibration fitted on others. For ``slice`` and
        ``segment`` (those that the calibration has): ``n``, ``coverage`` (share of true DSC within
        its bounds, every row alike), ``coverage_95ci`` (bootstrap over patients), ``mean_width``, ``by_structure``
        (``n``, ``coverage``, ``mean_width``) and ``by_person`` (``persons``, ``mean``, ``lowest``, ``median``,
        ``highest`` of the patients' own coverages).

        Slices and segments are counted :func:`without_removed`.
    """
    import pandas as pd

    evaluated = without_removed(evaluated)
    result: dict = {
        "nominal": calibration.get("coverage"), "cross_fitted": isinstance(calibration, CrossCalibration)
    }  # fmt: skip
    if "slice" in calibration:
        masked = evaluated.masked
        slices = pd.DataFrame({name: getattr(masked, name) for name in ("dsc", "structure", "patient")})
        result["slice"] = _coverage(slices, *slice_bounds(masked, calibration))
    if "segment" in calibration:
        segments = evaluated.segments()
        *_, low, high = segment_calibrated(segments, calibration)
        result["segment"] = _coverage(segments, low, high)
    return result


def _coverage(of: pd.DataFrame, low: np.ndarray, high: np.ndarray) -> dict:
    """Of the rows of a table with ``dsc``, ``structure`` and ``patient``."""
    held = (of["dsc"] >= low - _HAIR) & (of["dsc"] <= high + _HAIR)
    rows = of.assign(held=held, width=high - low)
    patients = rows.groupby("patient")["held"].mean()
    by_structure = rows.groupby("structure")
    by_structure = by_structure.agg(n=("held", "size"), coverage=("held", "mean"), mean_width=("width", "mean"))
    return {
        "n": len(rows), "coverage": float(held.mean()), "mean_width": float(rows["width"].mean()),
        "coverage_95ci": mean_interval(held.to_numpy(), rows["patient"].to_numpy(str)),
        "by_structure": by_structure.to_dict("index"),
        "by_person": {
            "persons": len(patients), "mean": patients.mean(), "lowest": patients.min(), "median": patients.median(),
            "highest": patients.max(),
        },
    }  # fmt: skip


def _bands(x: np.ndarray, y: np.ndarray, centre_of: Callable) -> np.ndarray:
    """Nested bands at the knots, ever wider, that hold the centre line: (low, high) by level, ``[2, levels, knots]``.

    Local quantiles of y around each knot, made to rise with x. True DSC piles up at exactly 0 and 1. A row that lies
    there stays there when its neighbours are moved along the centre line to the knot, and a bound that comes to lie
    there is not smoothed away from it: else the whole pile would be held or lost by a hair's breadth.
    """
    centre = centre_of(x, y)
    piled = (y <= 0.0) | (y >= 1.0)
    along = np.interp(x, KNOTS, centre)
    bounds = np.empty((2, len(_LEVELS), len(KNOTS)))
    tails = np.concatenate([(1 - _LEVELS) / 2, (1 + _LEVELS) / 2])
    for number, rows in enumerate(_windows(x, y)):
        moved = np.clip(y[rows] + centre[number] - along[rows], 0.0, 1.0)
        bounds[..., number] = np.quantile(np.where(piled[rows], y[rows], moved), tails).reshape(2, -1)
    low, high = np.apply_along_axis(_tidied, -1, bounds)
    return np.stack([np.minimum(low, centre), np.maximum(high, centre)])


def _band_at(bands: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """The band at ``width``: between two levels up to ``len(_LEVELS) - 1``, beyond it widened alike all over."""
    last = len(_LEVELS) - 1
    number = int(np.clip(width, 0, last - 1))
    share, beyond = min(width, last) - number, max(width - last, 0.0)
    low, high = ((1 - share) * b[number] + share * b[number + 1] for b in bands)
    return np.clip(low - beyond, 0.0, 1.0), np.clip(high + beyond, 0.0, 1.0)


def _conformal(
    x: np.ndarray, y: np.ndarray, of: EvaluationTable | pd.DataFrame, coverage: float, centre_of: Callable
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds at the knots that hold ``coverage`` of the rows left out of their own band's fit, all rows alike, and
    hardly less (:data:`LEAST_OF_SITE`) of the rows of any data set: the next CT is from another one.

    Args:
        x, y: predicted and true.
        of: whose patients and data sets the rows are.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    fold = _folds_of(of.patient)
    sites = [rows for rows in _sites(of.source) if rows.sum() >= _FEWEST]
    bands = [(fold == f, _bands(x[fold != f], y[fold != f], centre_of)) for f in np.unique(fold)]
    wanted = min(np.ceil((len(y) + 1) * coverage) / len(y), 1.0)

    def held(width: float) -> float:
        inside = np.zeros(len(y), bool)
        for rows, band in bands:
            low, high = (np.interp(x[rows], KNOTS, bound) for bound in _band_at(band, width))
            inside[rows] = (y[rows] >= low - _HAIR) & (y[rows] <= high + _HAIR)
        return min([inside.mean(), *(inside[rows].mean() + LEAST_OF_SITE for rows in sites)])

    # the share held grows with the width, so the smallest that suffices can be searched by halving
    too_little, enough = 0.0, float(len(_LEVELS))
    for _ in range(24):
        middle = (too_little + enough) / 2
        too_little, enough = (too_little, middle) if held(middle) >= wanted else (middle, enough)
    return _band_at(_bands(x, y, centre_of), enough)


def _folds_of(patient: np.ndarray) -> np.ndarray:
    """Fold of every row; a patient's rows share one, and folds have about as many rows each."""
    names, member, counts = np.unique(patient, return_inverse=True, return_counts=True)
    of_name = np.zeros(len(names), int)
    sizes = np.zeros(min(_FOLDS, len(names)))
    for number in np.argsort(-counts, kind="stable"):
        of_name[number] = np.argmin(sizes)
        sizes[of_name[number]] += counts[number]
    return of_name[member.reshape(-1)]


def _sites(source: np.ndarray) -> Iterator[np.ndarray]:
    """Rows of each data set, bool [N]; what follows a comma in its name does not count."""
    site = np.array([str(name).split(",")[0] for name in source])
    return (site == name for name in np.unique(site))


def _identity(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return KNOTS.copy()


def _monotone_map(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mean y at the knots, strictly rising: local means of y - x, made isotonic, weighted by the rows they stand on."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    offset = np.array([(y[rows] - x[rows]).mean() for rows in _windows(x, y)])
    near = np.histogram(x, np.concatenate([[-np.inf], (KNOTS[1:] + KNOTS[:-1]) / 2, [np.inf]]))[0]
    fitted = isotonic_regression(np.clip(KNOTS + _smoothed(offset), 0.0, 1.0), weights=near + 1.0).x
    return (1 - _STRICT) * fitted + _STRICT * KNOTS


def _windows(x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """For each knot the rows whose x lies nearest to it: a fortieth of all, but 150 to 2000 of them.

    Of rows with the same x, such as 0, any number in a row has y as all of them have (golden ratio sequence): the order
    of the table, one data set after another, must not decide.
    """
    order = np.lexsort((y, x))
    order = order[np.lexsort((np.arange(len(x)) * _GOLDEN % 1.0, x[order]))]
    ordered = x[order]
    size = min(len(x), int(np.clip(len(x) * _WINDOW_SHARE, _FEWEST, _MOST)))
    windows = []
    for knot in KNOTS:
        middle = np.searchsorted(ordered, knot)
        first = np.clip(np.arange(middle - size, middle + 1), 0, len(x) - size)
        farthest = np.maximum(np.abs(ordered[first] - knot), np.abs(ordered[first + size - 1] - knot))
        best = first[np.argmin(farthest)]
        windows.append(order[best : best + size])
    return windows


def _tidied(bound: np.ndarray) -> np.ndarray:
    """A bound at the knots, smoothed and rising; where it was 0 or 1 it stays so."""
    smooth = np.where((bound <= 0.0) | (bound >= 1.0), bound, _smoothed(bound))
    rising = isotonic_regression(smooth).x
    return np.where(rising > 1 - _SNAP, 1.0, np.where(rising < _SNAP, 0.0, rising))


def _smoothed(values: np.ndarray) -> np.ndarray:
    padded = np.pad(values, 1, mode="edge")
    return (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4


def _listed(values: np.ndarray) -> list[float]:
    return [round(float(v), 6) for v in values]
