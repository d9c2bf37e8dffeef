"""``make label-noise``: how well label errors are found, and what networks gain from it, on OpenKBP with known noise.

CTs are cut to the head and four structures, so that it runs on one core in half an hour. For each share of corrupted
cases (alpha), radius (beta, pixels) and seed: two networks, each trained on one half, predict the other half; errors
are found with every method and band, and students are trained on what was found and measured on clean patients. A
setting that is done is not done again. Tables go to OUT/tables.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from QualitySentinelLib.datasets import DataSet, find_cases
from QualitySentinelLib.files import atomic_write
from QualitySentinelLib.reading.volume_file import read_image
from QualitySentinelLib.scores import read_report_json
from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelTrainingLib.dice import dice_by_structure, volume_dice
from QualitySentinelTrainingLib.label_errors.confident import METHODS, ErrorFinder, confident_joint
from QualitySentinelTrainingLib.label_errors.find import find_errors
from QualitySentinelTrainingLib.label_errors.noisy_data import corrupt_data
from QualitySentinelTrainingLib.label_errors.options import FindOptions, NoiseOptions, StudentOptions
from QualitySentinelTrainingLib.label_errors.pixels import band, blocks, read_labeled, write_pixels
from QualitySentinelTrainingLib.label_errors.students import student_sources
from QualitySentinelTrainingLib.runs import Kind, Result, Run
from QualitySentinelTrainingLib.segmentation.folds import write_label_map
from QualitySentinelTrainingLib.segmentation.network import SegmentationNetwork
from QualitySentinelTrainingLib.segmentation.options import SegmentationOptions
from QualitySentinelTrainingLib.segmentation.probabilities import write_names
from QualitySentinelTrainingLib.segmentation.training import train
from QualitySentinelTrainingLib.stats import auroc, spearman_r
from QualitySentinelTrainingLib.subjects import SubjectSource, find_subjects, subject_sources

STRUCTURES = ("brainstem", "mandible", "parotid gland left", "parotid gland right")
ALPHAS, BETAS = (0.3, 0.5, 0.7), (2, 3)
BANDS_MM = (4, 8, 12, 20)
DEFAULT_BAND = f"{FindOptions().band_mm:g} mm"
STUDENTS = {
    "noisy labels": StudentOptions("given"),
    "corrected, epsilon 1": StudentOptions("corrected"),
    "corrected, epsilon 0.25": StudentOptions("corrected", epsilon=0.25),
    "corrected, published loss": StudentOptions("corrected", published=True),
    "worst slices left out": StudentOptions("picked"),
    "pick and learn": StudentOptions("pick-and-learn"),
}
CLEAN = "clean labels"
NETWORKS = SegmentationOptions(
    epochs=(1,), size=48, pixel_mm=4.0, slice_mm=2.0, steps=400, batch_size=8
)
FIGURES = ["recall", "precision", "F1"]
"""Of errors; of students the first is their DSC."""
_KIND = Kind("label-noise", "label-noise/1", "setting")
_HALF = 26
"""Rows and columns of what is cut out, from its center."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of OpenKBP")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--patients", type=int, nargs=2, default=(32, 12), help="to train and to test on")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=NETWORKS.steps)
    parser.add_argument("--tables", action="store_true", help="only write the tables, of what is done")
    options = parser.parse_args()
    networks = replace(NETWORKS, steps=options.steps)
    if options.tables:
        print(write_tables(Run(options.out, _KIND)))
        return
    cut(options.data, options.out, *options.patients)
    items = [
        Setting(alpha, beta, seed, options.out, networks)
        for seed, beta, alpha in product(range(options.seeds), BETAS, ALPHAS)
    ]
    key = {"patients": list(options.patients), "networks": networks.shaping()}
    with Run(options.out, _KIND, {"key": key}) as run:
        for _ in run.work(items, measure, workers=1, retry_failed=True):
            print(write_tables(run), flush=True)
        if run.failed:
            raise SystemExit(f"{run.failed}")
        run.finish()


def write_tables(run: Run) -> str:
    """Write ``tables.md`` of the settings that are done; its text."""
    names = [name for name in run.names() if not run.record(name).failed]
    lines = [line for name in names for line in run.record(name).lines]
    settings = f"{len(names)} settings of share, radius and seed are behind these figures."
    text = "\n\n".join([settings, *tables(lines), *quality([run.path / name for name in names])]) + "\n"
    atomic_write(run.path / "tables.md", text)
    return text


@dataclass(frozen=True)
class Setting:
    """One noise, and where its files lie."""

    alpha: float
    beta: int
    seed: int
    out: Path
    networks: SegmentationOptions

    @property
    def name(self) -> str:
        return f"alpha_{self.alpha}_beta_{self.beta}_seed_{self.seed}"


def cut(data: Path, out: Path, *patients: int) -> None:
    """The heads of the first patients that have all structures: in ``out/train`` and ``out/test``."""
    if (out / "test" / "labels.json").is_file():
        return
    found = _heads(find_subjects(data))
    for folder, number in zip((out / "train", out / "test"), patients, strict=True):
        for _ in range(number):
            name, ct, labels = next(found)
            write_label_map(folder / name / "ct.nii.gz", ct.hu, ct.frame)
            write_label_map(folder / name / "seg.nii.gz", labels, ct.frame)
        write_names(folder, ("background", *STRUCTURES))


def _heads(sources: list[SubjectSource]) -> Iterator[tuple[str, CtVolume, np.ndarray]]:
    for source in sources:
        subject = source.read()
        values = {name: value for value, name in subject.structures.items()}
        if not set(STRUCTURES) <= values.keys():
            continue
        labels = np.zeros(subject.labels.shape, np.uint8)
        for number, name in enumerate(STRUCTURES, start=1):
            labels[subject.labels == values[name]] = number
        places = np.nonzero(labels)
        middle = [int(p.min() + p.max()) // 2 for p in places]
        low = [max(0, places[0].min() - 2), *(max(0, m - _HALF) for m in middle[1:])]
        high = [places[0].max() + 3, *(m + _HALF for m in middle[1:])]
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        shift = np.eye(4)
        shift[:3, 3] = low[::-1]
        part = np.ascontiguousarray(subject.ct.hu[box])
        frame = AxialFrame.from_affine(subject.ct.frame.ijk_to_ras @ shift, part.shape)
        yield source.name, CtVolume(part, frame, source.name), np.ascontiguousarray(labels[box])


def measure(item: Setting) -> Result:
    """All figures of one setting: lines of a kind, alpha, beta, a name, a band, and numbers."""
    folder, lines = item.out / item.name, []
    networks = replace(item.networks, seed=item.seed)
    corrupt_data(find_cases(item.out / "train"), folder / "noisy", NoiseOptions(item.alpha, item.beta, item.seed))
    noisy = find_cases(folder / "noisy")
    find_errors(noisy, folder / "errors", FindOptions(), networks, device="cpu")
    wrong, differs = _pixels(folder, noisy)
    total = sum(int(one.sum()) for one in wrong.values())
    lines.append(["errors", item.alpha, item.beta, "network differs", "", *_agreement(wrong, differs)])
    for place in sorted(p.name for p in (folder / "pixels").iterdir()):
        for method in METHODS if place in ("everywhere", DEFAULT_BAND) else ("both",):
            flags = _flags(folder / "pixels" / place, list(wrong), method)
            lines.append(["errors", item.alpha, item.beta, method, place, *_agreement(wrong, flags)])
    sources = subject_sources(noisy)
    for name, student in STUDENTS.items():
        network = train(student_sources(sources, folder / "errors", student), folder / name, networks, "cpu")
        lines.append(["students", item.alpha, item.beta, name, "", _dice(network, item.out / "test"), None, None])
    if (item.alpha, item.beta) == (ALPHAS[0], BETAS[0]):
        network = train(find_subjects(item.out / "train"), folder / CLEAN, networks, "cpu")
        lines.append(["students", 0.0, 0, CLEAN, "", _dice(network, item.out / "test"), None, None])
    return Result({"wrong": total}, lines)


def _pixels(folder: Path, noisy: DataSet) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Keep the voxels that each band looks at; where labels are wrong, and where the network differs, flat, by case."""
    wrong, differs = {}, {}
    for case in noisy.cases:
        labeled = read_labeled(case, folder / "errors" / "segmenters" / "probabilities" / f"{case.name}.npz")
        likeliest, spacing = labeled.likeliest, labeled.ct.frame.spacing
        clean = _labels(folder / "noisy" / case.name / "clean.nii.gz")
        wrong[case.name] = (labeled.labels != clean).ravel()
        differs[case.name] = (labeled.labels != likeliest).ravel()
        bands: dict[str, np.ndarray | None] = {"everywhere": None}
        for width in BANDS_MM:
            bands[f"{width} mm"] = band(labeled.labels, likeliest, spacing, width)
            bands[f"{width} mm, given labels only"] = band(labeled.labels, labeled.labels, spacing, width)
        for place, chosen in bands.items():
            write_pixels(folder / "pixels" / place / f"{case.name}.npy", labeled, chosen)
    return wrong, differs


def _flags(folder: Path, names: list[str], method: str) -> dict[str, np.ndarray]:
    """Flat indices of the flagged voxels of each case."""
    paths = [folder / f"{name}.npy" for name in names]
    joint = confident_joint(lambda: blocks(paths), len(STRUCTURES) + 1)
    flags = ErrorFinder(lambda: blocks(paths), joint, method).flags(blocks(paths))  # a block is a case, they are small
    return {name: np.load(path)["voxel"][next(flags)] for name, path in zip(names, paths, strict=True)}


def _agreement(wrong: dict[str, np.ndarray], flagged: dict[str, np.ndarray]) -> list[float]:
    """Recall, precision and F1 of all voxels of all cases; ``flagged``: bool or flat indices."""
    hits = sum(int(one[flagged[name]].sum()) for name, one in wrong.items())
    found = sum(int(f.sum()) if f.dtype == bool else len(f) for f in flagged.values())
    recall, precision = hits / sum(int(one.sum()) for one in wrong.values()), hits / max(1, found)
    return [recall, precision, 2 * recall * precision / max(1e-9, recall + precision)]


def _dice(network: SegmentationNetwork, test: Path) -> float:
    """Mean DSC of structures of clean patients."""
    dice = []
    for source in find_subjects(test):
        subject = source.read()
        dice += [dsc for _, dsc, _ in dice_by_structure(network.predict_labels(subject.ct), network.classes, subject)]
    return float(np.mean(dice))


def tables(lines: list[list]) -> list[str]:
    """Tables of means over seeds and, where they are no rows or columns, noises."""
    frame = pd.DataFrame(lines, columns=["kind", "alpha", "beta", "name", "band", *FIGURES])
    errors, students = (frame[frame.kind == kind] for kind in ("errors", "students"))
    both, usual = errors.name == "both", errors.band == DEFAULT_BAND
    compared = errors[errors.band.isin(("everywhere", DEFAULT_BAND, "")) & (errors.name != "Qij")]
    dsc = students.groupby(["name", "alpha", "beta"])[FIGURES[0]].mean().unstack([1, 2])
    spread = students.groupby(["name", "alpha", "beta"])[FIGURES[0]].std().mean()
    seeds = len(errors[both & usual]) / len(errors[both & usual].groupby(["alpha", "beta"]))
    return [
        f"**Methods (`Qij` is `both`), mean of all noises ({seeds:.1f} seeds of each)**",
        _shown(compared.groupby(["band", "name"])[FIGURES].mean()),
        "**Bands, method both, mean of all noises**",
        _shown(errors[both].groupby("band")[FIGURES].mean().sort_values("F1")),
        f"**Noises, method both, {DEFAULT_BAND}**",
        _shown(errors[both & usual].groupby(["alpha", "beta"])[FIGURES].mean()),
        f"**Students: mean DSC on clean patients, by alpha and beta (standard deviation over seeds {spread:.3f})**",
        _shown(dsc),
    ]  # fmt: skip


def quality(folders: list[Path]) -> list[str]:
    """How well label quality ranks slices of structures by the DSC of their labels with the clean ones."""
    found = []
    for path in (path for folder in folders for path in sorted((folder / "errors" / "scores").glob("*.json"))):
        given, clean = (_labels(path.parents[2] / "noisy" / path.stem / f"{name}.nii.gz") for name in ("seg", "clean"))
        for segment in read_report_json(path).segments:
            number = STRUCTURES.index(segment.structure) + 1
            for one in segment.slices:
                dsc = volume_dice(given[one.k] == number, clean[one.k] == number)
                found.append((one.predicted_dsc, dsc))
    score, dsc = np.array(found).T
    bad, middle = dsc < 0.8, (np.median(score[dsc < 0.8]), np.median(score[dsc >= 0.8]))
    ranked = f"AUROC {auroc(-score, bad):.3f} for these, Spearman's correlation with DSC {spearman_r(score, dsc):.3f}"
    text = (
        f"Label quality of {len(dsc)} slices of structures; the labels of {np.mean(bad):.0%} have a DSC below 0.8: "
        f"{ranked}; medians {middle[0]:.3f} (below 0.8) and {middle[1]:.3f}."
    )
    return [text]


def _labels(path: Path) -> np.ndarray:
    image = read_image(path, "mask")
    return AxialFrame.from_affine(image.ijk_to_ras, image.voxels.shape).to_canonical(image.voxels)


def _shown(frame: pd.DataFrame) -> str:
    return f"```\n{frame.to_string(float_format='{:.3f}'.format, na_rep='')}\n```"


if __name__ == "__main__":
    main()
