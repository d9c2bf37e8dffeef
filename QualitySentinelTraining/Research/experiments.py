"""``make experiments``: the comparisons behind what docs and model card say, each a command anyone can run again.

``architectures`` trains the compact network and the ResNet-50 alike, on the same pairs, with the same loss and
schedule, and measures both on the same unseen patients; :data:`DIFFERENCES` says what is not alike. ``text`` leaves
structures out of the training and measures on them, with and without names. ``data-amount`` trains with growing numbers
of patients, the same number of steps each. They train on pair files (see ``make-pairs``) of the patients outside one
fold and measure the slices of those inside it.

``held-out`` trains nothing: it scores corrupted masks, and masks under wrong names, of the CTs of ``--data``, each by
one of ``--models`` that never saw the patient (:mod:`.held_out`).

``evaluate --experiments OUT/EXPERIMENT/figures.json`` puts the figures into report and card.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import timeit
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
from torch.utils.flop_counter import FlopCounterMode

from QualitySentinelLib.checkpoint import QualityModel, load_model
from QualitySentinelLib.errors import QualitySentinelError, UsageError
from QualitySentinelLib.files import atomic_write
from QualitySentinelTrainingLib.commands.data_options import add_case_options, subjects_of
from QualitySentinelTrainingLib.commands.train import MODEL_FILE, outside_fold, train
from QualitySentinelTrainingLib.evaluation import EvaluationTable
from QualitySentinelTrainingLib.evaluation.figures import with_intervals
from QualitySentinelTrainingLib.evaluation.report import plain
from QualitySentinelTrainingLib.evaluation.run import evaluate_pair_files
from QualitySentinelTrainingLib.model_files import seen_by
from QualitySentinelTrainingLib.option_files import parsed_change
from QualitySentinelTrainingLib.pairs import owner_of, pair_files
from QualitySentinelTrainingLib.recipe import ARCHITECTURES
from QualitySentinelTrainingLib.training import TrainingOptions, read_options
from Research.held_out import held_out

STRUCTURES = ("kidney left", "parotid gland left", "lung right", "vertebra L3")
"""Structures left out by default: each has near ones that are trained on."""
DIFFERENCES = (
    "compact sees two CT windows, resnet50 one",
    "compact is also taught where the reference is (the dense term); resnet50 draws no map",
    "empty_share of compact's pairs are empty slices; resnet50 has no channel for the neighbour and is shown none",
)
"""What differs between the trainings of the two architectures, besides the network: the published one cannot do it."""
_TIMED = 4
_FIGURES = ("pearson_r", "mae")


class Bench:
    """Pair files to train on and to test on (nobody is behind files of both), and where the trained models are kept.

    Experiments change one thing in the ``options``. A model that is in ``out`` already is not trained again.
    """

    def __init__(
        self, train_on: Sequence[Path], test_on: Sequence[Path], options: TrainingOptions, out: Path, draws: int = 200
    ) -> None:
        self.train_on, self.test_on, self.options, self.out, self.draws = train_on, test_on, options, out, draws

    def trained(self, name: str, paths: Sequence[Path] | None = None, **changes) -> QualityModel:
        """The model ``name``: the options with some changes, trained on all files or on ``paths``.

        Raises:
            InputError: the folder of that name holds one that was trained on other files or with other options.
        """
        file, options, paths = self.out / name / MODEL_FILE, replace(self.options, **changes), paths or self.train_on
        if file.exists():
            model = load_model(file)
            training = model.metadata["training"]
            same = training["options"] == json.loads(json.dumps(asdict(options)))
            if same and seen_by(model) == {owner_of(path)[0] for path in paths} - {""}:
                return model
        print(f"\n== training {name}", flush=True)
        train(paths, self.out / name, options)  # refuses what another run left there
        return load_model(file)

    def tested(self, model: QualityModel) -> EvaluationTable:
        """The masked slices of the test files with the model's predictions."""
        return EvaluationTable.concatenate([e.masked for e in evaluate_pair_files(model, self.test_on)])

    def figures(self, evaluated: EvaluationTable) -> dict:
        """Figures of agreement, r and MAE with intervals."""
        return with_intervals(evaluated.predicted, evaluated.dsc, evaluated.patient, self.draws, _FIGURES)


def architectures(bench: Bench) -> dict:
    """Figures of slices and the cost of scoring, by architecture, trained alike but for :data:`DIFFERENCES`."""
    result: dict = {}
    for name in ARCHITECTURES:
        model = bench.trained(name, architecture=name)
        model.backend = "torch"  # the same for both, and its operations can be counted
        result[name] = {
            "parameters": sum(p.numel() for p in model.network.parameters()),
            "milliseconds_per_slice": _milliseconds(model),
            "gigaflops_per_slice": _gigaflops(model),
            "training_seconds": model.metadata["training"]["seconds"],
            "slices": bench.figures(bench.tested(model)),
        }
    first, second = (result[name] for name in ARCHITECTURES)
    result["cost_ratio"] = second["milliseconds_per_slice"] / first["milliseconds_per_slice"]
    result["flops_ratio"] = second["gigaflops_per_slice"] / first["gigaflops_per_slice"]
    result["pairs"] = bench.options.epochs * bench.options.pairs_per_epoch
    result["differences"] = list(DIFFERENCES)
    return result


def text(bench: Bench, structures: Sequence[str] = STRUCTURES) -> dict:
    """What names are worth: with and without them, and for structures that were left out of the training.

    ``unseen`` has, for each structure and for all of them, figures of a model that was trained on it (``seen``), of one
    that was not (``unseen``), of that one when it is not told the name (``unseen, no name``), and of one that was
    trained without names and without the structure (``unseen, no text``).
    """
    everything = bench.tested(bench.trained("all"))
    nothing = bench.tested(bench.trained("all_no_text", text="none"))
    held = [name for name in structures if (everything.structure == name).any()]
    if not held:
        raise UsageError(f"--structures: the test pairs hold none of {', '.join(structures)}")
    left_out = bench.trained("left_out", leave_out=tuple(held))
    unnamed = replace(left_out, table=left_out.table.without_names())
    models = {
        "seen": everything,
        "unseen": bench.tested(left_out),
        "unseen, no name": bench.tested(unnamed),
        "unseen, no text": bench.tested(bench.trained("left_out_no_text", leave_out=tuple(held), text="none")),
    }
    groups = {name: [name] for name in held} | ({"all of them": held} if len(held) > 1 else {})
    return {
        "with": bench.figures(everything),
        "without": bench.figures(nothing),
        "unseen": {
            group: {
                how: bench.figures(evaluated.take(np.isin(evaluated.structure, members)))
                for how, evaluated in models.items()
            }
            for group, members in groups.items()
        },
    }


def amounts(bench: Bench, patients: Sequence[int]) -> list[dict]:
    """Figures of models trained with growing numbers of patients, the same steps each (Fig. 2a)."""
    owners = {path: owner_of(path)[0] for path in bench.train_on}
    names = np.random.default_rng(0).permutation(sorted(set(owners.values()) - {""}))
    rows = []
    for number in sorted({min(n, len(names)) for n in patients}):
        some = set(names[:number])
        model = bench.trained(f"patients_{number}", [path for path, owner in owners.items() if owner in some])
        rows.append({"amount": number, "unit": "patients", **bench.figures(bench.tested(model))})
    return rows


def _milliseconds(model: QualityModel) -> float:
    """Time to score a slice in batches of :data:`_TIMED` on this machine's CPU: the median of eleven."""
    backend, inputs = model.chosen_backend(), model.example(_TIMED)
    seconds = timeit.repeat(lambda: backend(inputs), number=1, repeat=12)[1:]
    return float(np.median(seconds) / _TIMED * 1e3)


def _gigaflops(model: QualityModel) -> float:
    """Floating point operations to score a slice, in 1e9; a sum is one, a product another. The same everywhere."""
    with FlopCounterMode(display=False) as counter:
        model.chosen_backend()(model.example(_TIMED))
    return counter.get_total_flops() / _TIMED / 1e9


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=("architectures", "text", "data-amount", "held-out"))
    parser.add_argument("--pairs", type=Path, nargs="+", metavar="DIR", help="folders of pair files")
    parser.add_argument("--test", type=Path, nargs="+", metavar="DIR", help="pair files to test on (default: --pairs)")
    parser.add_argument("--out", type=Path, default=Path("out/experiments"))
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--config", type=Path, metavar="FILE.toml")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change one training option")
    parser.add_argument("--structures", nargs="+", default=STRUCTURES, help="left out, for text")
    parser.add_argument("--patients", type=int, nargs="+", default=(8, 16, 32, 64, 128), help="for data-amount")
    parser.add_argument("--models", nargs="+", default=["bundled"], help="of one or more folds, for held-out")
    parser.add_argument("--most-patients", type=int, metavar="N", help="of each data set and model, for held-out")
    parser.add_argument("--data", type=Path, nargs="+", default=[], metavar="DIR", help="data sets, for held-out")
    add_case_options(parser)
    options = parser.parse_args(arguments)
    out, script = options.out / options.experiment, "QualitySentinelTraining/Research/experiments.py"
    result = {"experiment": options.experiment, "command": shlex.join(["python", script, *(arguments or sys.argv[1:])])}
    try:
        result |= _held_out(options, out) if options.experiment == "held-out" else _trained(options, out)
        result = plain(result)
        atomic_write(out / "figures.json", json.dumps(result, indent=2))
    except QualitySentinelError as error:
        print(f"experiments: {error}", file=sys.stderr)
        return error.exit_code
    print(pd.json_normalize(result["result"], sep=" / ").T.to_string(header=False, float_format="{:.4g}".format))
    print(f"figures: {out / 'figures.json'}")
    return 0


def _held_out(options: argparse.Namespace, out: Path) -> dict:
    models = [load_model(model) for model in options.models]
    figures, tables = held_out(models, subjects_of(options, options.data, test=True), options.most_patients)
    out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        print(f"table: {out / name}.csv")
        table.drop(columns=["slices", "slice_dsc"], errors="ignore").to_csv(out / f"{name}.csv", index=False)
    return {"result": figures}


def _trained(options: argparse.Namespace, out: Path) -> dict:
    if not options.pairs:
        raise UsageError(f"{options.experiment} needs --pairs")
    small = {"epochs": 2, "pairs_per_epoch": 8000}
    settings = read_options(options.config, **small | dict(map(parsed_change, options.set)))
    paths = [path for folder in options.pairs for path in pair_files(folder)]
    train_on, left_out = outside_fold(paths, options.fold)
    candidates = {p: owner_of(p) for folder in options.test or options.pairs for p in pair_files(folder)}
    seen = {owner_of(path)[0] for path in train_on}
    test_on = [path for path, (patient, source) in candidates.items() if patient not in seen and "," not in source]
    if not test_on:
        raise UsageError("--test: all of its patients are trained on")
    bench = Bench(train_on, test_on, settings, out)
    result: dict | list
    if options.experiment == "architectures":
        result = architectures(bench)
    elif options.experiment == "text":
        result = text(bench, options.structures)
    else:
        result = amounts(bench, options.patients)
    return {"options": asdict(settings), "left_out": left_out, "result": result}


if __name__ == "__main__":
    sys.exit(main())
