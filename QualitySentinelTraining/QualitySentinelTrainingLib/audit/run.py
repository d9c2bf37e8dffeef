"""Auditing a data set: what is to do, doing it, and the tables of it all."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from QualitySentinelLib import __version__
from QualitySentinelLib.datasets import Case, DataSet, find_cases
from QualitySentinelLib.errors import InputError, ModelError, UsageError, not_installed
from QualitySentinelLib.reading.names import name_presets, read_names
from QualitySentinelLib.scores import read_report_json, software_versions

from ..runs import Plan, Record, Shard, Throttle
from .scoring import CaseWork, ScoringSetup
from .store import AuditFolder
from .table_files import write_tables


@dataclass(frozen=True)
class AuditOptions:
    """How to audit; the options that shape scores are those of :class:`ScoringSetup`."""

    layout: str = "auto"  # a name of ``datasets.LAYOUTS``, or ``"auto"``
    metadata: Path | None = None  # a table with one row per case
    engine: str = "local"  # ``"local"`` or ``"ray"``
    workers: int | None = None  # processes or actors; as many as suit the machine or cluster when ``None``
    ray_address: str | None = None  # of a running cluster; ``"auto"`` finds it; a cluster on this machine when ``None``
    shard: Shard | None = None  # do only this part of the data set
    retry_failed: bool = False  # retry the cases that failed before
    title: str = ""  # what to call the data set; by default its folder's name, or that of its manifest
    columns: tuple[str, ...] = ()  # that the metadata must have: better to be told before the work than after it


@dataclass
class AuditOutcome:
    """What became of an audit."""

    data: DataSet  # the data set
    # done, failed: cases that have scores, and names with reasons of those that have none
    done: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    kept: int = 0  # of these, how many were there from an earlier run
    notes: list[str] = field(default_factory=list)  # what a user should read, one line each
    seconds: float = 0.0  # wall time of reading and scoring in this run
    workers: int = 0  # that took part
    scoring_share: float | None = None  # share of the workers' time in which they scored


Watch = Callable[[int, int, dict | None], None]
"""Called with cases done, cases in all, and the head of the record that was just written."""


def run_audit(
    dataset: Path, out: Path, setup: ScoringSetup | None = None, options: AuditOptions | None = None,
    watch: Watch = lambda done, total, head: None,
) -> AuditOutcome:  # fmt: skip
    """Score every case of a data set that is not yet scored in ``out``, and write the tables of all of them.

    Cases whose files have changed since are scored again. Failed ones stay failed, unless their files have changed or
    ``options.retry_failed``. ``setup.root`` is set from the data set.

    Raises:
        InputError: the data set cannot be read, or ``out`` not written.
        UsageError: the data set's layout is not clear, it lacks a column of ``options.columns``, or ``out`` holds an
            audit with other options.
        ModelError: of the model or the device.

    Example::

        outcome = run_audit(Path("TotalSegmentator_v2"), Path("out"))
        print(outcome.done, outcome.failed)
    """
    options = options or AuditOptions()
    setup = setup or ScoringSetup(Path())
    check_tables_can_be_written()
    data = find_cases(dataset, options.layout, metadata=options.metadata, keep_identifiers=setup.keep_identifiers)
    data.title = options.title
    if setup.scores is not None:  # they are of the references that the cases have
        data.cases = [replace(case, seg=case.reference or case.seg) for case in data.cases]
    _check_columns(data, options.columns)
    names, content = _names(setup.names)
    setup = replace(setup, root=data.root, names=content)
    model = _model(setup)
    outcome, work = AuditOutcome(data, notes=list(data.notes)), CaseWork(setup)
    cases = [case for case in data.cases if options.shard is None or options.shard.holds(case)]
    if "merged_shards" in (AuditFolder(out).document() or {}):
        raise UsageError(f"{out}: holds merged shards; audit the shards again, then merge them")
    with AuditFolder(out, _run_document(data, setup, names, options, model, cases)) as run:
        plan = run.plan(cases, work, options.retry_failed)
        _renew_metadata(run, plan, cases)
        outcome.kept, outcome.notes = len(plan.kept), [*outcome.notes, *plan.notes]
        if data.hidden:
            run.write_place(setup.root)
        started = time.perf_counter()
        if plan.todo:
            watch(outcome.kept, len(cases), None)
        waiting = {case.name for case in plan.todo}

        def records() -> Iterator[Record]:
            return (run.record(case.name) for case in cases if case.name not in waiting)

        so_far = Throttle(lambda: write_tables(run.path, records(), data.name))
        results = run.carry_out(plan, work, options.workers, options.engine, options.ray_address)
        for number, finished in enumerate(results, start=outcome.kept + 1):
            waiting.discard(finished.head["item"])
            if waiting:
                so_far()
            watch(number, len(cases), finished.head)
        if run.engine is not None:
            outcome.workers, outcome.scoring_share = run.engine.workers, run.engine.busy_share
        outcome.seconds = time.perf_counter() - started
        outcome.failed = dict(sorted(run.failed.items()))
        outcome.done = len(cases) - len(outcome.failed)
        warned = [head for head in write_tables(run.path, records(), data.name) if head["warnings"]]
        if warned:
            cases_read = "1 case" if len(warned) == 1 else f"{len(warned)} cases"
            outcome.notes.append(
                f"{cases_read} read with warnings, in the column 'warnings' of cases.csv; of {warned[0]['item']}: "
                f"{warned[0]['warnings'][0]}"
            )
        counts = {"cases": len(cases), "cases_of_all_shards": len(data.cases)}
        run.finish(counts=counts | {"done": outcome.done, "failed": len(outcome.failed)})
    return outcome


def _renew_metadata(run: AuditFolder, plan: Plan, cases: Iterable[Case]) -> None:
    """Write into the records of kept cases what is known of their patients now."""
    for case in cases:
        if plan.kept.get(case.name, {}).get("metadata", case.metadata) != case.metadata:
            record = run.record(case.name)
            record.head["metadata"] = dict(case.metadata)
            run.write(case.name, record)


def check_tables_can_be_written() -> None:
    """Make sure, before the work, that Parquet can be written. Raises ``UsageError``: pyarrow is not installed."""
    if find_spec("pyarrow") is None:
        raise not_installed("an audit", "pyarrow", "audit")


def _check_columns(data: DataSet, columns: Iterable[str]) -> None:
    there = dict.fromkeys(name for case in data.cases for name in case.metadata)
    missing = next((column for column in columns if column not in there), None)
    if missing is not None:
        raise UsageError(f"{missing}: no metadata column of {data.name}; available: {', '.join(there) or 'none'}")


def _names(names: str | Mapping | None) -> tuple[str | None, str | Mapping | None]:
    """Names as text, with the whole path of a file; and what they say: workers elsewhere need not find the file."""
    if names is None or isinstance(names, Mapping):
        return (None if names is None else str(dict(names))), names
    if names in name_presets():
        return names, names
    return str(Path(names).resolve()), read_names(names)


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _model(setup: ScoringSetup) -> dict:
    """What to say of the model, which is so known to be whole; the device is so known to be there."""
    if setup.scores is not None:
        files = sorted(setup.scores.glob("*.json"))
        if not files:
            raise InputError(f"{setup.scores}: holds no scores; expected CASE.json, in the form of report.json")
        return {"sha256": ""} | read_report_json(files[0]).model
    from QualitySentinelLib.checkpoint import load_model
    from QualitySentinelLib.scorer import Scorer

    model = load_model(setup.options.model, setup.options.embeddings)
    if not model.sha256:
        raise ModelError(f"{setup.options.model}: the model has no fingerprint; save it again with this version")
    return Scorer(model, setup.options).summary()


def _run_document(
    data: DataSet, setup: ScoringSetup, names: str | None, options: AuditOptions, model: dict, cases: list[Case]
) -> dict:
    """``audit.json`` at the start. What ``key`` holds must be the same in all runs into one folder.

    ``names`` are the user's, as text; ``setup.names`` has their content.
    """
    how = setup.options
    file = how.model if isinstance(how.model, (str, os.PathLike)) else how.model.path
    return {
        "key": {
            "version": __version__,
            "model": model["sha256"],
            "layout": data.layout,
            "slices": str(how.slices),
            "threshold": how.threshold,
            "own-thresholds": how.own_thresholds or None,  # older audits do not say
            "segments": None if how.segments is None else list(how.segments),
            "names": names,
            "names_sha256": None if names is None else _digest(str(sorted(read_names(setup.names).items()))),
            "keep-identifiers": setup.keep_identifiers,
            "shard": None if options.shard is None else str(options.shard),
        },
        "dataset": None if data.hidden else str(data.root),
        "dataset_name": data.name,
        "manifest": data.manifest,
        "layout": data.layout,
        "threshold": how.threshold,
        "model": model,
        "model_file": None if file in (None, "bundled") else str(Path(file).resolve()),
        "embeddings_file": None if how.embeddings is None else str(Path(how.embeddings).resolve()),
        "versions": software_versions(),
        "counts": {"cases": len(cases), "cases_of_all_shards": len(data.cases)},
        "label_names": _label_names(data.cases),
        "cases_sha256": _digest("\n".join(f"{c.name}\0{c.ct}\0{c.seg}" for c in data.cases)),
        "notes": data.notes,
    }


def _label_names(cases: list[Case]) -> str | Mapping | None:
    """What label values mean where the layout says the same of all cases; Slicer has no other way to know."""
    told = {json.dumps(case.names, sort_keys=True) for case in cases if case.seg}
    return json.loads(told.pop()) if len(told) == 1 else None
