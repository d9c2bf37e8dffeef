"""The tables of a data set that was audited in shards."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from QualitySentinelLib.errors import InputError, MismatchError, UsageError, readable
from QualitySentinelLib.scores.tables import escaped

from ..runs import FAILED, Shard
from ..runs.run import first_difference
from .run import check_tables_can_be_written
from .store import AuditFolder
from .table_files import write_tables


def merge_shards(folders: Sequence[Path], out: Path, title: str = "") -> dict[str, str]:
    """Write the tables of all shards' cases, equal to those of an audit of the whole data set in one run.

    The data set is called ``title``, by default as the shards call it. Returns the cases that failed, with reasons.

    Raises:
        UsageError: a folder is no shard, or ``out`` is one of them or holds another audit.
        InputError: a shard is missing or not complete; the line says which.
        MismatchError: the shards were made with other options, another model, or of another data set.
    """
    check_tables_can_be_written()
    shards = [AuditFolder(folder) for folder in folders]
    if out.resolve() in {shard.path.resolve() for shard in shards}:
        raise UsageError(f"{out}: is one of the shards; choose another folder for the tables of all")
    before = AuditFolder(out).document()
    if before is not None and "merged_shards" not in before:
        raise UsageError(f"{out}: holds an audit of its own; choose another folder for the tables of all shards")
    runs = [_run(shard) for shard in shards]
    _check_alike(shards, runs)
    _check_all_there(shards, runs)
    places = sorted((name, shard) for shard in shards for name in _cases(shard))
    again = [name for name, count in Counter(name for name, _ in places).items() if count > 1]
    if again:
        raise MismatchError(f"{out}: case {again[0]} is in two shards; audit them again, from the same data set")
    expected = runs[0]["counts"]["cases_of_all_shards"]
    if len(places) != expected:
        raise MismatchError(f"{out}: the shards hold {len(places)} cases of {expected}; audit them again")
    name, key = title or runs[0]["dataset_name"], {**runs[0]["key"], "shard": None}
    counts = {"cases": expected, "cases_of_all_shards": expected}
    run = {**runs[0], "dataset_name": name, "key": key, "counts": counts, "merged_shards": len(shards)}
    with AuditFolder(out, run) as whole:  # not complete until all tables are in place
        place = shards[0].place()
        if place is not None:
            whole.write_place(place)
        heads = write_tables(out, (shard.record(name) for name, shard in places), name)
        failed = {head["item"]: head["reason"] for head in heads if head["status"] == FAILED}
        whole.finish(counts=counts | {"done": expected - len(failed), "failed": len(failed)})
    return failed


def _run(shard: AuditFolder) -> dict:
    run = shard.document()
    if run is None:
        raise InputError(f"{shard.path}: holds no audit; give the output folders of the shards")
    if run["key"].get("shard") is None:
        raise UsageError(f"{shard.path}: was not made with --shard; --merge takes the folders of shards")
    return run


def _check_alike(shards: list[AuditFolder], runs: list[dict]) -> None:
    first, *_ = runs
    for shard, run in zip(shards, runs, strict=True):
        name = first_difference({**run["key"], "shard": None}, {**first["key"], "shard": None})
        if name is not None:
            raise MismatchError(
                f"{shard.path}: {name} is another than in {shards[0].path}; audit all with the same, in new folders"
            )
        same = all(run[name] == first[name] for name in ("cases_sha256", "dataset_name"))
        if not same or Shard.parse(run["key"]["shard"]).count != Shard.parse(first["key"]["shard"]).count:
            raise MismatchError(
                f"{shard.path}: is a shard of other cases than {shards[0].path}; run the commands of all shards again "
                "(cases that have not changed are kept)"
            )


def _check_all_there(shards: list[AuditFolder], runs: list[dict]) -> None:
    """Make sure that each shard is there, once, and complete."""
    parts = [Shard.parse(run["key"]["shard"]) for run in runs]
    numbers, count = Counter(part.number for part in parts), parts[0].count
    missing = [str(n) for n in range(1, count + 1) if n not in numbers]
    twice = [str(n) for n, times in numbers.items() if times > 1]
    told = {f"of {count} shards {_some(missing)} missing": missing, f"given twice: {_some(twice)}": twice}
    problems = [problem for problem, those in told.items() if those]
    problems += [
        f"shard {part} in {shard.path} is not done ({len(shard.names())} of {run['counts']['cases']} cases)"
        for shard, run, part in zip(shards, runs, parts, strict=True)
        if not run["complete"]
    ]
    if problems:
        raise InputError(f"the shards cannot be merged: {'; '.join(problems)}; audit them, then merge again")


def _some(numbers: list[str], most: int = 12) -> str:
    return f"{', '.join(numbers[:most])}{' ...' if len(numbers) > most else ''} {'is' if len(numbers) == 1 else 'are'}"


def _cases(shard: AuditFolder) -> list[str]:
    """The cases in a shard's tables; its folder may hold records of more, which have gone from the data set."""
    path = shard.path / "cases.csv"
    with readable(path, "audit the shard again", KeyError, ValueError):
        listed = {row["case"] for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())}
    return [name for name in shard.names() if escaped(name) in listed]  # tables replace what is no UTF-8
