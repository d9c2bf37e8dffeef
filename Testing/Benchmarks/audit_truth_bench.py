"""Whether an audit ranks wrong masks first: real CTs, half of them with errors of known DSC, audited as a user does.

    python Testing/Benchmarks/audit_truth_bench.py [--cases N] [--out FOLDER] [--device cpu] [--picture FILE]

The cases are OpenKBP's (``../shared/data/openkbp``): contours drawn by people. In half of the cases every mask is
corrupted by an error of ``simulated_errors`` with the odds of training; the true DSC is that to the contour.
``quality-sentinel audit`` scores them all, and the segments are ranked by predicted DSC, lowest first. Printed is the
average precision of finding (a) corrupted masks, (b) those with a true DSC below 0.8; next to it the share of such
masks, which is what a random order would have; with 95 % bootstrap intervals over persons. Persons that the model was
trained on are kept apart from those it never saw. Contours by people are no perfect truth either: a bad one among the
intact masks counts as a false alarm.

Done cases are kept: a second run with the same options goes on where the first stopped. Prints; asserts nothing.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
from sklearn.metrics import average_precision_score

from QualitySentinelLib.checkpoint import load_model
from QualitySentinelLib.commands.main import main as quality_sentinel
from QualitySentinelLib.datasets import Case
from QualitySentinelLib.files import atomic_write
from QualitySentinelTrainingLib import simulated_errors
from QualitySentinelTrainingLib.audit.frames import read_audit
from QualitySentinelTrainingLib.candidates import MARGIN_MM
from QualitySentinelTrainingLib.dice import volume_dice
from QualitySentinelTrainingLib.model_files import seen_by
from QualitySentinelTrainingLib.stats import bootstrap_of
from QualitySentinelTrainingLib.subjects import Subject, read_subject

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "openkbp"
BAD_BELOW = 0.8
TITLE = "OpenKBP, half of its cases with planted errors"
_TRIES = 20


def main() -> int:
    """Make the set, audit it, and print how well wrong masks were found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of pt_N/ct.nii.gz and seg.nii.gz")
    parser.add_argument("--cases", type=int, help="so many cases, persons never seen first (all)")
    parser.add_argument("--out", type=Path, default=Path("out/audit_truth"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slices", default="all", help="as of quality-sentinel score")
    parser.add_argument("--picture", type=Path, help="PNG of the top of the audit's report, for README.md")
    options = parser.parse_args()
    seen = seen_by(load_model(options.model))
    folders = chosen_cases(options.data, seen, options.cases)
    started = time.perf_counter()
    truth = make_set(folders, options.out / "set", options.seed)
    made = time.perf_counter() - started
    arguments = ["audit", str(options.out / "set"), "--out", str(options.out / "audit"), "--device", options.device]
    started = time.perf_counter()
    code = quality_sentinel([*arguments, "--model", options.model, "--slices", options.slices, "--title", TITLE])
    print(f"set of {len(folders)} cases made in {made:.0f} s, audited in {time.perf_counter() - started:.0f} s "
          f"(exit code {code}; what an earlier run had done is not in it), {os.cpu_count()} cores")  # fmt: skip
    figures = measured(read_audit(options.out / "audit").segments, truth, seen)
    atomic_write(options.out / "audit_truth.json", json.dumps(figures, indent=1) + "\n")
    for line in lines_of(figures):
        print(line)
    if options.picture:
        draw_report(options.out / "audit" / "report" / "index.html", options.picture)
    return 0


def draw_report(report: Path, picture: Path) -> None:
    """The report from its top into the worst cases, as headless Chromium shows it."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from Testing.chromium import chromium
    from Testing.screenshots import opened, save, top_of

    with chromium() as browser:
        page = opened(browser, report)
        cases = page.locator("#cases .slices").bounding_box()
        save(top_of(page, cases["y"] + cases["height"] * 0.66), picture)


def chosen_cases(data: Path, seen: set[str], count: int | None) -> list[Path]:
    """Cases by number; with ``count``, half of them of persons the model never saw, as far as there are."""
    folders = sorted(data.glob("pt_*"), key=lambda p: int(p.name.removeprefix("pt_")))
    if not folders:
        raise SystemExit(f"{data}: holds no pt_N; give the folder of OpenKBP cases with --data")
    if count is None or count >= len(folders):
        return folders
    groups = [[f for f in folders if f.name not in seen], [f for f in folders if f.name in seen]]
    new = min(len(groups[0]), max(count // 2, count - len(groups[1])))
    return sorted(groups[0][:new] + groups[1][: count - new], key=lambda p: int(p.name.removeprefix("pt_")))


def make_set(folders: list[Path], out: Path, seed: int) -> list[dict]:
    """Write the cases, one of each two with corrupted masks; rows of ``truth.csv``: case, segment, kind, DSC."""
    rows = []
    for number, folder in enumerate(folders):
        table = out / folder.name / "truth.json"
        if not table.is_file():
            pair = np.random.default_rng([seed, number // 2]).permutation(2)  # one of each two is corrupted
            write_case(folder, out / folder.name, bool(pair[number % 2]), np.random.default_rng([seed, 1, number]))
        rows += json.loads(table.read_text())
        print(f"\r{number + 1} of {len(folders)} cases made", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    with open(out / "truth.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return rows


def write_case(folder: Path, out: Path, corrupt: bool, rng: np.random.Generator) -> None:
    """One case: the CT as it is, and a binary mask per structure."""
    subject = read_subject(Case(folder.name, "ct.nii.gz", "seg.nii.gz", names="openkbp", root=folder), "OpenKBP")
    image = nibabel.load(folder / "ct.nii.gz")
    out.mkdir(parents=True, exist_ok=True)
    ct = out / "ct.nii.gz"
    if not ct.exists():
        ct.symlink_to((folder / "ct.nii.gz").resolve())
    rows = []
    for value, structure in sorted(subject.structures.items()):
        reference = subject.labels == value
        mask, kind = corrupted(subject, reference, rng) if corrupt else (reference, "none")
        name = structure.replace(" ", "_")
        voxels = np.ascontiguousarray(subject.ct.frame.to_file(mask).astype(np.uint8).T)
        path = out / "segmentations" / f"{name}.nii.gz"
        atomic_write(path, lambda p, v=voxels: nibabel.save(nibabel.Nifti1Image(v, image.affine), p))
        rows.append({
            "case": folder.name, "segment": name, "structure": structure, "kind": kind,
            "true_dsc": round(volume_dice(mask, reference), 5),
        })  # fmt: skip
    atomic_write(out / "truth.json", json.dumps(rows))


def corrupted(subject: Subject, reference: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """A wrong mask that is not empty, and what was done to it."""
    spacing = subject.ct.frame.spacing
    held = [np.flatnonzero(reference.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    room = [int(np.ceil(MARGIN_MM / s)) for s in spacing]
    box = tuple(
        slice(max(0, h[0] - m), min(n, h[-1] + m + 1)) for h, m, n in zip(held, room, reference.shape, strict=True)
    )
    part, labels, hu = (np.ascontiguousarray(a[box]) for a in (reference, subject.labels, subject.ct.hu))
    case = simulated_errors.Case(part, labels, hu, spacing, rng)
    for _ in range(_TRIES):
        wrong, record = simulated_errors.simulate(case)
        if wrong.any() and not np.array_equal(wrong, part):
            mask = np.zeros_like(reference)
            mask[box] = wrong
            return mask, record.kinds
    return reference, "none"


def measured(segments, truth: list[dict], seen: set[str]) -> dict:
    """Average precision by group of persons and kind of target, JSON-able."""
    predicted = {(c, s): d for c, s, d in zip(segments["case"], segments["segment"], segments["predicted_dsc"],
                                              strict=True)}  # fmt: skip
    rows = [r for r in truth if predicted.get((r["case"], r["segment"])) is not None]
    score = np.array([-predicted[r["case"], r["segment"]] for r in rows])
    true = np.array([r["true_dsc"] for r in rows])
    patient = np.array([r["case"] for r in rows])
    corrupted_rows = np.array([r["kind"] != "none" for r in rows])
    new = ~np.isin(patient, list(seen))
    figures = {}
    for group, member in (("all persons", np.ones(len(rows), bool)), ("never seen", new), ("trained on", ~new)):
        for target, positive in (("corrupted", corrupted_rows), (f"true DSC below {BAD_BELOW}", true < BAD_BELOW)):
            s, y, who = score[member], positive[member], patient[member]
            if not y.any() or y.all():
                continue
            drawn = bootstrap_of(lambda w, s=s, y=y: {"": average_precision_score(y, s, sample_weight=w)}, who)
            figures[f"{group}, {target}"] = {
                "average_precision": average_precision_score(y, s), "interval": drawn.get(""), "share": float(y.mean()),
                "segments": len(y), "persons": len(np.unique(who)),
                "precision_of_first_20": float(y[np.argsort(-s, kind="stable")[:20]].mean()),
            }  # fmt: skip
    clean = true[~corrupted_rows]
    figures["segments"] = {"scored": len(rows), "not scored": len(truth) - len(rows), "intact": len(clean)}
    return figures


def lines_of(figures: dict) -> list[str]:
    """The figures as a table."""
    lines = [f"{'segments ranked by predicted DSC':42} {'AP':>6}  {'95 %':13} {'random':>6}  first 20"]
    for name, f in figures.items():
        if "average_precision" in f:
            interval = f"{f['interval'][0]:.3f}-{f['interval'][1]:.3f}" if f["interval"] else ""
            lines.append(
                f"{name:42} {f['average_precision']:6.3f}  {interval:13} {f['share']:6.3f}  "
                f"{f['precision_of_first_20']:.2f}   ({f['segments']} segments, {f['persons']} persons)"
            )
    lines.append(", ".join(f"{n} {what}" for what, n in figures["segments"].items()))
    return lines


if __name__ == "__main__":
    sys.exit(main())
