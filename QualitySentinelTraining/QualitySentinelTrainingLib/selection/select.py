"""Ranking a pool: each case measured once (as a run), then units, a budget, and the two lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from QualitySentinelLib.datasets.pool import LIST_COLUMNS, find_pool, with_corrections
from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelLib.files import atomic_folder, sha256_of

from ..pages import write_table
from ..runs import Kind, Run
from .exports import EXPORTS, write_nnunet
from .options import SelectOptions
from .pool import MeasureWork, PoolItem, case_scores, check_given, items_of, scores_of_table, units_in
from .strategies import STRATEGIES, Strategy
from .units import WHOLE, Budget, CaseScores, Units, WeakLabeler, most_trusted, units_of

SELECT = Kind("select", "quality-sentinel-select/1", "case", ("selection.csv", "trusted.csv"))
_UNKNOWN = "nothing was found; ranked in the middle"


@dataclass
class Selection:
    """What was selected."""

    chosen: list[tuple]  # rows of selection.csv
    trusted: list[tuple]  # rows of trusted.csv
    failed: dict[str, str]  # by case
    notes: list[str]


def run_select(
    pool: Path, out: Path, options: SelectOptions,
    watch: Callable[[int, int, dict | None], None] = lambda done, total, head: None,
) -> Selection:  # fmt: skip
    """Write ``selection.csv`` and ``trusted.csv``; what was measured before is not measured again.

    Raises:
        UsageError: no such strategy, it lacks what it needs, or the budget does not fit the pool.
        InputError: the pool or a table cannot be read, nothing could be measured, or ``out`` cannot be written.
        ModelError: of the model or the device.
    """
    if options.strategy not in STRATEGIES:
        raise UsageError(f"--strategy {options.strategy}: give one of {', '.join(STRATEGIES)}")
    strategy, budget = STRATEGIES[options.strategy], Budget.parse(options.budget, options.minutes_per_slice)
    if options.dsal_round and strategy.needs != "levels":
        raise UsageError("--dsal-round: needs --strategy deep-supervision")
    if options.nnunet is not None and options.nnunet.is_dir() and any(options.nnunet.iterdir()):
        raise UsageError(f"{options.nnunet}: holds files, which would be written over; give --nnunet a new folder")
    by_slice, trust_by = budget.unit != "cases", options.trust_by or budget.level
    data = find_pool(pool, options.layout, options.names)
    masks_in_pool = any(case.seg for case in data.cases)
    check_given(options, masks_in_pool, by_slice or (strategy.trusts and trust_by != "case"))
    if options.scores and strategy.from_table:
        items, _ = items_of(data, options.predictions)
        names, quality = {i.name for i in items}, "label_quality" if strategy.needs == "scores" else "predicted_dsc"
        table = {one.case: one for one in scores_of_table(options.scores, quality) if one.case in names}
        unscored = dict.fromkeys(names - set(table), f"{options.scores}: has no scores of it")
        return _write(pool, out, options, items, table.values, unscored)
    items, failed = items_of(data, options.predictions, options.probabilities)
    if budget.unit == "cases" and items:  # refused before the work
        budget.check(np.ones(len(items)), str(pool))
    work = MeasureWork(options, by_slice)
    key = {
        "strategy": options.strategy, "model": options.model, "by slice": by_slice, "names": options.names,
        "predictions": [str(p.resolve()) for p in options.predictions],
        "probabilities": [str(p.resolve()) for p in options.probabilities],
        "networks": [sha256_of(p) for p in options.network],
    }  # fmt: skip
    with Run(out, SELECT, {"key": key}) as run:
        plan = run.plan(items, work, options.retry_failed)
        for number, one in enumerate(run.carry_out(plan, work, options.workers), start=1 + len(plan.kept)):
            watch(number, len(items), one.head)
        failed |= run.failed
        done = [item.name for item in items if item.name not in failed]

        def measured() -> Iterator[CaseScores]:  # read again each time, so that memory does not grow with the pool
            return (case_scores(r.name, r.head, r.lines) for r in map(run.record, done))

        selection = _write(pool, out, options, items, measured, failed)
        selection.notes = [*data.notes, *plan.notes, *selection.notes]
        run.finish(failed=len(failed))
    return selection


def _write(
    pool: Path, out: Path, options: SelectOptions, items: Sequence[PoolItem],
    measured: Callable[[], Iterable[CaseScores]], failed: dict[str, str],
) -> Selection:  # fmt: skip
    strategy, budget = STRATEGIES[options.strategy], Budget.parse(options.budget, options.minutes_per_slice)
    trust_by = options.trust_by or budget.level
    done = {unit[:3] for path in options.done for unit in units_in(path)}
    whole = {unit[0]: path for path in options.done for unit in units_in(path) if not unit[1]}
    structures = {one.case: [s.structure for s in one.structures if len(s.slices)] for one in measured()}
    failed |= strangers(structures)
    cases = set(structures) - set(failed)
    if not cases:
        reason = f" ({next(iter(failed.values()))})" if failed else ""
        raise InputError(f"{pool}: has no case to choose from{reason}; give a pool with at least one readable case")
    rng, levels = np.random.default_rng(options.seed), dict.fromkeys((budget.level, trust_by))
    ranked = {level: units_of((one for one in measured() if one.case in cases), level) for level in levels}
    units = _without(ranked[budget.level], done)
    if not len(units):
        raise UsageError(f"{pool}: every case is in the lists of --done; nothing is left to choose")
    costs, annotated = budget.costs(units.count), None
    budget.check(costs, str(pool))
    if strategy.features and budget.level == "case" and cases & whole.keys():
        annotated = np.stack([one.features for one in measured() if one.case in cases & whole.keys()])
    chosen = budget.spend(strategy.order(units, annotated, rng), costs)
    rest = _without(ranked[trust_by], done | set(units.take(chosen).keys))
    if options.dsal_round:
        best = WeakLabeler().choose(rest, options.dsal_round, rng)
    else:
        best = most_trusted(rest, options.trust if strategy.trusts else 0.0, rng)
    notes = [] if strategy.trusts else [f"{strategy.name} tells nothing of pseudo labels; trusted.csv is empty"]
    selection = Selection(
        list(_rows(units, chosen, costs, strategy)), list(_rows(rest, best, budget.costs(rest.count), strategy)),
        failed, notes,
    )  # fmt: skip
    with atomic_folder(out) as new:
        write_table(new / "selection.csv", LIST_COLUMNS, selection.chosen)
        write_table(new / "trusted.csv", LIST_COLUMNS, selection.trusted)
        for name in options.export:
            EXPORTS[name](new, {item.name: item for item in items}, selection.chosen)
    if options.nnunet is not None:
        pairs = [(i.case, with_corrections(i.case, whole[i.name])) for i in items if i.name in whole]
        known = [case for before, case in pairs if case != before or (case.seg and options.predictions)]
        number = write_nnunet(options.nnunet, items, selection.trusted, known)
        notes.append(f"{options.nnunet}: raw data of {number} cases for nnU-Net")
    return selection


def _without(units: Units, taken: set[tuple]) -> Units:
    """The units that are, hold and lie in none of those that go, or went, to the strong labeler."""
    wholes = {(c, s, WHOLE) for c, s, _ in taken} | {(c, "", WHOLE) for c, *_ in taken}
    gone = [key in taken or key in wholes or (key[0], "", WHOLE) in taken for key in units.keys]
    return units.take(np.flatnonzero(np.logical_not(np.array(gone, bool))))


def _rows(units: Units, index: Iterable[int], costs: np.ndarray, strategy: Strategy) -> Iterable[tuple]:
    for rank, n in enumerate(index, start=1):
        score = float(units.score[n])
        told = np.isfinite(score) or not strategy.trusts  # chance needs no score
        reason = strategy.reason.format(score=score, good=1 - score) if told else _UNKNOWN
        k = None if units.slices[n] == WHOLE else int(units.slices[n])
        yield rank, units.case[n], units.structure[n], k, score, float(costs[n]), reason


def strangers(structures: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Cases, of three or more, that share no structure with half of all cases, and what to say of them.

    Args:
        structures: by case.
    """
    often = Counter(name for names in structures.values() for name in names)
    common = {name for name, count in often.items() if 2 * count >= len(structures) >= 3}
    return {
        case: f"its structures ({', '.join(names)}) are not those of the other cases "
        f"({', '.join(sorted(common))}); give predictions of one network"
        for case, names in structures.items()
        if common and names and not common & set(names)
    }
