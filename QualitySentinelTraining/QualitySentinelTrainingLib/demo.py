"""The demonstration: a phantom the bundled model never saw, errors of known true DSC planted in it, then scored.

``python -m QualitySentinelTrainingLib.demo [--out DIR] [--seed N]``. Nothing is downloaded and no patient data is used.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nibabel
import numpy as np

from QualitySentinelLib.commands.main import main as quality_sentinel
from QualitySentinelLib.datasets.table import read_table
from QualitySentinelLib.errors import QualitySentinelError, UsageError
from QualitySentinelLib.files import atomic_write

from .candidates import surroundings
from .dice import slice_dice, volume_dice
from .phantom import FIRST_UNSEEN_SEED, Phantom, make_phantom
from .simulated_errors import Case, simulate

SPACING = (4.0, 2.2, 2.2)
REGION = (20.0, 310.0)

_PLAN = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
PLAN: dict[str, tuple[str, float] | None] = {name: tuple(error) or None for name, error in _PLAN.items()}
"""Structures of the demonstration and the error (name, about the DSC lost) planted in each; ``None``: left right."""


@dataclass(frozen=True)
class Planted:
    """A case with known errors."""

    phantom: Phantom  # CT and reference
    mask: np.ndarray  # label map with errors, uint8 ``[k, j, i]``, the phantom's label values
    # name of the planted error of each label value in the case; ``none`` where the structure was left right
    kinds: dict[int, str]


def plant(seed: int, plan: dict[str, tuple[str, float] | None] = PLAN) -> Planted:
    """Make the phantom of ``seed`` and plant the errors of ``plan`` in its structures.

    A label map holds one structure per voxel, so a mask that grows takes voxels from its neighbours: true DSC is
    to be taken from the finished map.
    """
    phantom = make_phantom(seed, spacing=SPACING, region=REGION)
    rng = np.random.default_rng(seed)
    planned = {value: plan[name] for value, name in phantom.names.items() if name in plan}
    mask = np.where(np.isin(phantom.labels, list(planned)), phantom.labels, 0).astype(np.uint8)
    errors = {value: error for value, error in planned.items() if error}
    plant_errors(mask, errors, phantom.labels, phantom.hu, phantom.spacing, rng)
    return Planted(phantom, mask, {value: error[0] if error else "none" for value, error in planned.items()})


def plant_errors(
    mask: np.ndarray, errors: dict[int, tuple[str, float]], labels: np.ndarray, hu: np.ndarray,
    spacing: tuple[float, ...], rng: np.random.Generator,
) -> None:  # fmt: skip
    """Replace structures of the label map ``mask``, in place, by wrong ones.

    Args:
        mask, labels, hu: label map, the true one and the CT, ``[k, j, i]``.
        errors: label value to error (name, about the DSC lost), planted in this order.
        spacing: mm ``(k, j, i)``.
    """
    wrong, crops = {}, surroundings(labels, errors, spacing)
    for value, (kind, severity) in errors.items():
        crop, part = crops[value], labels[crops[value]]
        wrong[value] = crop, simulate(Case(part == value, part, hu[crop], spacing, rng), kind, severity)[0]
    for value in wrong:
        mask[mask == value] = 0
    for value, (crop, part) in wrong.items():
        mask[crop][part] = value


def write_case(planted: Planted, out: Path) -> None:
    """Write ``ct.nii.gz``, ``seg.nii.gz`` (with errors), ``truth.nii.gz`` and ``names.json`` into ``out``.

    Raises:
        InputError: the folder cannot be written.
    """
    phantom = planted.phantom
    _write_image(out / "ct.nii.gz", phantom.hu, phantom.ijk_to_ras)
    _write_image(out / "seg.nii.gz", planted.mask, phantom.ijk_to_ras)
    truth = np.where(np.isin(phantom.labels, list(planted.kinds)), phantom.labels, 0).astype(np.uint8)
    _write_image(out / "truth.nii.gz", truth, phantom.ijk_to_ras)
    names = {str(value): phantom.names[value] for value in planted.kinds}
    atomic_write(out / "names.json", json.dumps(names, indent=1) + "\n")


def _write_image(path: Path, array: np.ndarray, ijk_to_ras: np.ndarray) -> None:
    image = nibabel.Nifti1Image(np.ascontiguousarray(array.T), ijk_to_ras)
    image.header.set_xyzt_units("mm")
    atomic_write(path, partial(nibabel.save, image))


def compare(planted: Planted, segments_csv: Path, slices_csv: Path) -> str:
    """The table of predicted beside true DSC, and how well slices agree, as text."""
    kinds, true_slices, true_volumes = {}, {}, {}
    for value, kind in planted.kinds.items():
        wrong, right, name = planted.mask == value, planted.phantom.labels == value, planted.phantom.names[value]
        true_slices[name], true_volumes[name] = slice_dice(wrong, right), volume_dice(wrong, right)
        kinds[name] = kind if kind != "none" else "-" if true_volumes[name] > 0.995 else "(neighbor's)"
    lines = [f"{'structure':22}  {'planted error':16}  predicted DSC  true DSC"]
    for row in sorted(read_table(segments_csv), key=lambda row: true_volumes[row["segment"]]):
        name, predicted = row["segment"], row["predicted_dsc"]
        shown = f"{float(predicted):13.2f}" if predicted else f"{row['status']:>13}"
        lines.append(f"{name:22}  {kinds[name]:16}  {shown}  {true_volumes[name]:8.2f}")
    rows = read_table(slices_csv)
    scored = [(float(r["predicted_dsc"]), true_slices[r["segment"]][int(r["slice_index"])]) for r in rows]
    pairs = np.array([pair for pair in scored if np.isfinite(pair).all()]).reshape(-1, 2)
    if len(pairs) > 1:
        error = np.abs(pairs[:, 0] - pairs[:, 1]).mean()
        r = np.corrcoef(pairs.T)[0, 1] if pairs.std(axis=0).all() else float("nan")
        lines.append(f"\n{len(pairs)} slices: Pearson r {r:.2f}, mean absolute error {error:.3f}")
    return "\n".join(lines)


def run(out: Path, seed: int, extra: Sequence[str] = ()) -> int:
    """Make, write, score and compare; the exit code of the scoring command.

    Raises:
        UsageError: the seed may have been used for training.
        InputError: ``out`` cannot be written.
    """
    if seed < FIRST_UNSEEN_SEED:
        raise UsageError(f"--seed {seed}: the model may have been trained on it; use {FIRST_UNSEEN_SEED} or more")
    print(f"Making a CT phantom (seed {seed}; training used seeds below {FIRST_UNSEEN_SEED} only) ...", flush=True)
    planted = plant(seed)
    write_case(planted, out)
    scores = out / "scores"
    code = quality_sentinel(
        ["score", "--ct", str(out / "ct.nii.gz"), "--seg", str(out / "seg.nii.gz"),
         "--names", str(out / "names.json"), "--out", str(scores), *extra]
    )  # fmt: skip
    if code:
        return code
    print("\n" + compare(planted, scores / "segments.csv", scores / "slices.csv"))
    print(f"\nCT, masks with errors and truth: {out}   report: {scores / 'report.html'}")
    print("This is a drawn phantom, not a patient: it shows that everything works, and is no clinical result.")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m QualitySentinelTrainingLib.demo",
        description="Score a CT phantom with planted errors and print predicted beside true DSC. "
        "Further options go to `quality-sentinel score`, for example --device cpu.",
    )
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder for the case and its scores")
    parser.add_argument("--seed", type=int, default=FIRST_UNSEEN_SEED + 7, help="which phantom (default %(default)s)")
    options, extra = parser.parse_known_args(arguments)
    try:
        return run(options.out, options.seed, ["--quiet", *extra])
    except QualitySentinelError as error:
        print("demo:", " ".join(str(error).split()), file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
