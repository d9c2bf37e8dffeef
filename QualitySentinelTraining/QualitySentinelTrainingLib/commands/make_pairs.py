"""Make training pairs: masks and their true DSC.

Make masks with errors, simulated ones and networks' own, from the reference masks of subjects, and write slices of them
with their true DSC: OUT/SUBJECT.pairs.h5. A subject whose file is there is not done again; one that cannot be read is
named and left out (exit code 3).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zlib import crc32

from QualitySentinelLib.errors import InputError, UsageError, command_text
from QualitySentinelLib.files import check_outside, check_writable

from ..option_files import Doc, NonNegativeInt, Options, PositiveInt, add_options, given_options
from ..runs import Kind, Result, Run
from .data_options import add_data_options, subjects_of

if TYPE_CHECKING:
    from ..subjects import SubjectSource

_PAIRS = Kind("make-pairs", "quality-sentinel-make-pairs/1", "subject")
_MASKS_AT_ONCE = 16
"""Candidate masks whose pairs are held in memory at once."""


@dataclass(frozen=True)
class PairAmounts(Options):
    """How many pairs of each subject."""

    masks: Annotated[NonNegativeInt, Doc("simulated masks per structure")] = 8
    slices: Annotated[PositiveInt, Doc("slices per mask")] = 4
    empty: Annotated[NonNegativeInt, Doc("empty slices per mask")] = 1
    pretended: Annotated[NonNegativeInt, Doc("slices per mask that are shown as missed although they are not")] = 1
    evaluation: Annotated[
        bool, Doc("make test pairs: every slice of every mask, masks with slices removed, phantoms never trained on")
    ] = False

    def noted(self) -> dict:
        """What a pair file says of them: those that count."""
        return {"masks": self.masks, "evaluation": True} if self.evaluation else asdict(self)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the pair files")
    parser.add_argument(
        "--predictions", type=Path, nargs="+", default=[], metavar="DIR",
        help="folders of network predictions, with one subfolder per checkpoint",
    )  # fmt: skip
    parser.add_argument("--synthetic", type=int, default=0, metavar="N", help="subjects to make from each real one")
    parser.add_argument(
        "--cropped", type=int, default=0, metavar="N", help="parts cut from the CT of each, around a structure"
    )
    parser.add_argument(
        "--painted", nargs=2, metavar=("DIR", "N"),
        help="also N painted CTs for each case of a folder that has masks (CASE/segmentations/) but no CT",
    )  # fmt: skip
    add_options(parser, PairAmounts)
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default %(default)s)")


def run(options: argparse.Namespace) -> int:
    from ..synthesis import painted_sources

    amounts = PairAmounts(**given_options(options, PairAmounts))
    sources = subjects_of(options, options.data, amounts.evaluation)
    if options.painted:
        folder, number = options.painted
        if not number.isdecimal() or not int(number):
            raise UsageError(f"--painted {folder} {number}: give the folder and how many CTs to paint, 1 or more")
        check_outside(options.out, folder)
        sources += painted_sources(Path(folder), int(number), "" if options.data else options.source)
    if not sources:
        raise UsageError("nothing to make pairs from; give --data, --phantoms, or --painted")
    made, kept, left_out = make_pair_files(
        sources, options.out, amounts, options.predictions, options.synthetic, options.jobs, options.cropped
    )
    print(f"{made} pair files written, {kept} already present, in {options.out}")
    print(f"Train on them: quality-sentinel train --pairs {command_text(options.out)} --out model")
    if left_out:
        raise InputError(f"{len(left_out)} of {made + kept + len(left_out)} subjects were skipped (named above)")
    return 0


def make_pair_files(
    sources: Sequence, out: Path, amounts: PairAmounts | None = None, predictions: Sequence[Path] = (),
    synthetic: int = 0, jobs: int = 1, cropped: int = 0,
) -> tuple[int, int, list[str]]:  # fmt: skip
    """Write a pair file for every subject that has none yet in ``out``, the same whatever else is made.

    Files that are there are kept; a line on stderr says how many were made with other amounts.

    Args:
        predictions: folders that ``datasets.predictions.find_predictions`` understands; those of the subjects are used.
        synthetic: new subjects made from each that has a CT of its own.
        cropped: parts cut from the CT of each.

    Returns:
        Numbers of files made and of files that were there, and a line for each subject left out (also on stderr).

    Raises:
        UsageError: two subjects share a name, or no prediction is of a subject.
        InputError: a folder of predictions holds none, or ``out`` cannot be written.
    """
    from tqdm import tqdm

    from QualitySentinelLib.datasets.predictions import find_predictions, masks_beside
    from QualitySentinelLib.scores import software_versions

    from ..subjects import check_names
    from ..synthesis import made_sources

    check_names(sources)
    check_writable(out)
    if jobs < 1 or synthetic < 0 or cropped < 0:
        raise UsageError("--jobs must be 1 or more, --synthetic and --cropped 0 or more")
    drawn: dict = {}
    for folder in predictions:
        found = find_predictions(folder)
        if not {prediction.subject for prediction in found} & {source.name for source in sources}:
            raise UsageError(
                f"{folder}: no prediction is named as a subject is: it has {found[0].subject}, for example, the data "
                f"{sources[0].name}; rename the predictions"
            )
        for prediction in found:
            drawn.setdefault(prediction.subject, []).append(prediction)
    tasks = []
    for source in sources:
        masks = (*(masks_beside(source.folder) if source.with_masks else ()), *drawn.get(source.name, ()))
        whole = _Task(source, masks, Path(out), amounts or PairAmounts())
        made = made_sources(source, cropped, synthetic)
        tasks += [whole, *(replace(whole, source=one, predictions=()) for one in made)]
    document = {"key": {}, "amounts": tasks[0].amounts.noted(), "versions": software_versions()}
    with Run(out, _PAIRS, document) as run:
        known = {task.name for task in tasks if run.record_path(task.name).exists()}
        plan = run.plan((task for task in tasks if not task.path.exists() or task.name in known), retry_failed=True)
        for name, path in plan.damaged.items():
            print(f"{path}: it or the pair file is damaged; {name} is made again", file=sys.stderr)
        todo = {task.name for task in plan.todo}
        _name_others([task for task in tasks if task.name not in todo])
        results = run.carry_out(plan, _make, jobs)
        for finished in tqdm(results, total=len(todo), unit="subject", desc="pairs", disable=not todo):
            for line in finished.head.get("left_out", ()):
                tqdm.write(f"skipped: {line}", file=sys.stderr)
            if finished.failed:
                tqdm.write(f"skipped: {finished.head['item']}: {finished.head['reason']}", file=sys.stderr)
        run.finish()
        left_out = [f"{name}: {reason}" for name, reason in run.failed.items()]
    return len(todo) - len(left_out), len(tasks) - len(todo), left_out


@dataclass(frozen=True)
class _Task:
    """One pair file."""

    source: SubjectSource
    predictions: tuple
    out: Path
    amounts: PairAmounts

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def path(self) -> Path:
        from ..pairs.file import SUFFIX

        return self.out / f"{self.name}{SUFFIX}"


def _name_others(kept: Sequence[_Task]) -> None:
    """Say how many files that are kept were made with other amounts; files that do not say are not counted."""
    from ..pairs.file import amounts_of

    others = sum(amounts_of(task.path) not in (None, task.amounts.noted()) for task in kept)
    if others:
        print(
            f"{others} of the {len(kept)} pair files already present were made with other amounts (--masks, --slices, "
            "--empty, --pretended, --evaluation) and are kept; to replace them, delete them or use another folder",
            file=sys.stderr,
        )


def _make(task: _Task) -> Result:
    import numpy as np

    from ..candidates import candidates_of, candidates_with_removed_slices, simulated_candidates
    from ..pairs import make_pairs, write_pairs
    from ..recipe import PRESET

    rng, amounts, lines = np.random.default_rng(crc32(task.name.encode())), task.amounts, list[str]()
    subject = task.source.read()

    def candidates():
        for prediction in task.predictions:
            yield from candidates_of(prediction, subject, lines)
        yield from simulated_candidates(subject, rng, amounts.masks)
        if amounts.evaluation:
            yield from candidates_with_removed_slices(subject, rng)

    how_many = (None, None, 0) if amounts.evaluation else (amounts.slices, amounts.empty, amounts.pretended)

    def parts():
        remaining, number = candidates(), 0
        while (first := next(remaining, None)) is not None:
            some = chain([first], islice(remaining, _MASKS_AT_ONCE - 1))
            pairs = make_pairs(subject, some, rng, PRESET, *how_many)
            pairs.mask += number
            number += _MASKS_AT_ONCE
            yield pairs

    written = parts()
    first = next((pairs for pairs in written if len(pairs)), None)
    if first is None:
        raise InputError("; ".join(["gives no pairs: its masks are empty", *lines]))
    write_pairs(chain([first], written), task.path, PRESET, amounts.noted())
    return Result({"left_out": lines}, files={task.path.name: task.path})
