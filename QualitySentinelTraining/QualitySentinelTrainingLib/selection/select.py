"""Ranking a pool: each case measured once (as a run), then units, a budget, and the two lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from QualitySentinelLib.datasets.pool import LIST_COLUMNS, find_pool
from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelLib.files import atomic_folder, sha256_of

from ..pages import write_table
from ..runs import Kind, Run
from .exports import write_exports, write_nnunet
from .options import SelectOptions
from .pool import Given, MeasureWork, PoolItem, case_scores, items_of, scores_of_table, units_in
from .strategies import STRATEGIES, Strategy
from .units import WHOLE, Budget, CaseScores, Units, WeakLabeler, most_trusted, units_of

SELECT = Kind("select", "quality-sentinel-select/1", "case", ("selection.csv", "trusted.csv"))
_UNKNOWN = "nothing was found; ranked in the middle"


@dataclass
class Selection:
    """What was selected: units and their places in the two lists, what failed, and remarks."""

    chosen: list[tuple]
    trusted: list[tuple]
    failed: dict[str, str]
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
    by_slice, trust_by = budget.unit != "cases", options.trust_by or budget.level
    data = find_pool(pool, options.layout, options.names)
    given = Given(options.predictions, options.probabilities, options.network, options.scores)
    masks_in_pool = any(case.seg for case in data.cases)
    given.check(strategy, masks_in_pool, by_slice or (strategy.trusts and trust_by != "case"))
    if given.scores and strategy.from_table:
        items, _ = items_of(data, Given(given.predictions))
        known = {item.name for item in items}
        table = [one for one in scores_of_table(given.scores) if one.case in known]
        unscored = dict.fromkeys(known - {one.case for one in table}, f"{given.scores}: has no scores of it")
        return _write(pool, out, options, budget, strategy, trust_by, items, table, unscored)
    items, failed = items_of(data, given)
    if budget.unit == "cases" and items:  # refused before the work
        budget.check(np.ones(len(items)), str(pool))
    work = MeasureWork(options.strategy, given, options.device, options.model, by_slice)
    key = {
        "strategy": options.strategy, "model": options.model, "by slice": by_slice, "names": options.names,
        "predictions": [str(p.resolve()) for p in given.predictions],
        "probabilities": [str(p.resolve()) for p in given.probabilities],
        "networks": [sha256_of(p) for p in given.networks],
    }  # fmt: skip
    with Run(out, SELECT, {"key": key}) as run:
        plan = run.plan(items, work, options.retry_failed)
        for number, one in enumerate(run.carry_out(plan, work, options.workers), start=1 + len(plan.kept)):
            watch(number, len(items), one.head)
        failed |= run.failed
        records = (run.record(item.name) for item in items if item.name not in failed)
        measured = [case_scores(r.name, r.head, r.lines) for r in records]
        selection = _write(pool, out, options, budget, strategy, trust_by, items, measured, failed)
        selection.notes = [*data.notes, *plan.notes, *selection.notes]
        run.finish(failed=len(failed))
    return selection


def _write(
    pool: Path, out: Path, options: SelectOptions, budget: Budget, strategy: Strategy, trust_by: str,
    items: Sequence[PoolItem], measured: list[CaseScores], failed: dict[str, str],
) -> Selection:  # fmt: skip
    failed |= strangers(measured)
    measured = [one for one in measured if one.case not in failed]
    if not measured:
        reason = f" ({next(iter(failed.values()))})" if failed else ""
        raise InputError(f"{pool}: has no case to choose from{reason}; give a pool with at least one readable case")
    done = {unit[:3] for path in options.done for unit in units_in(path)}
    whole = {case for case, structure, _ in done if not structure}
    annotated = [one.features for one in measured if one.case in whole and one.features is not None]
    units = _without(units_of(measured, budget.level), done)
    if not len(units):
        raise UsageError(f"{pool}: every case is in the lists of --done; nothing is left to choose")
    rng = np.random.default_rng(options.seed)
    costs = budget.costs(units)
    budget.check(costs, str(pool))
    same_level = budget.level == "case" and annotated
    order = strategy.order(units, np.stack(annotated) if same_level else None, rng)
    chosen = budget.spend(order, costs)
    taken = {(units.case[n], units.structure[n], units.slices[n]) for n in chosen}
    rest = _without(units_of(measured, trust_by), done | taken)
    if options.dsal_round:
        best = WeakLabeler().choose(rest, options.dsal_round)
    else:
        best = most_trusted(rest, options.trust if strategy.trusts else 0.0, rng)
    notes = [] if strategy.trusts else [f"{strategy.name} tells nothing of pseudo labels; trusted.csv is empty"]
    selection = Selection(
        list(_rows(units, chosen, costs, strategy)), list(_rows(rest, best, budget.costs(rest), strategy)),
        failed, notes,
    )  # fmt: skip
    with atomic_folder(out) as new:
        write_table(new / "selection.csv", LIST_COLUMNS, selection.chosen)
        write_table(new / "trusted.csv", LIST_COLUMNS, selection.trusted)
        write_exports(options.export, new, items, selection.chosen)
    if options.nnunet is not None:
        cases = [item.case for item in items if item.name in whole and item.case.seg and options.predictions]
        number = write_nnunet(options.nnunet, items, selection.trusted, cases)
        notes.append(f"{options.nnunet}: raw data of {number} cases for nnU-Net")
    return selection


def _without(units: Units, taken: set[tuple]) -> Units:
    """The units that are, hold and lie in none of those that go, or went, to the strong labeler."""

    def free(case: str, structure: str, k: int) -> bool:
        if (case, "", WHOLE) in taken or (case, structure, k) in taken:
            return False
        return k != WHOLE or not any(c == case and structure in ("", s) for c, s, _ in taken)

    told = zip(units.case, units.structure, units.slices, strict=True)
    return units.take(np.flatnonzero([free(*unit) for unit in told]))


def _rows(units: Units, index: Iterable[int], costs: np.ndarray, strategy: Strategy) -> Iterable[tuple]:
    for rank, n in enumerate(index, start=1):
        score = float(units.score[n])
        told = np.isfinite(score) or not strategy.trusts  # chance needs no score
        reason = strategy.reason.format(score=score, good=1 - score) if told else _UNKNOWN
        k = None if units.slices[n] == WHOLE else int(units.slices[n])
        yield rank, units.case[n], units.structure[n], k, score, float(costs[n]), reason


def strangers(measured: Sequence[CaseScores]) -> dict[str, str]:
    """Cases of three or more that share no structure with half of all cases, and what to say of them."""
    if len(measured) < 3:
        return {}
    often = Counter(s.structure for one in measured for s in one.structures)
    common = {name for name, count in often.items() if 2 * count >= len(measured)}
    odd = [one for one in measured if common and one.structures and not common & {s.structure for s in one.structures}]
    return {
        one.case: f"its structures ({', '.join(s.structure for s in one.structures)}) are not those of the other cases "
        f"({', '.join(sorted(common))}); give predictions of one network"
        for one in odd
    }
