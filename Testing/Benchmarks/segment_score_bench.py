"""Which segment score is nearer to the truth: the area-weighted one, or the one that the calibration makes of it.

    python Testing/Benchmarks/segment_score_bench.py [--data FOLDER] [--cases N] [--model bundled] [--out FILE]

Scores the manual masks of OpenKBP's patients that the model was never trained on (``../shared/data/openkbp``), which
are taken to be correct (DSC 1), and the same masks corrupted by one simulated error each, whose DSC is known; and the
masks of TotalSegmentator's example, whose patient the bundled model knows, taken to be correct. Printed for the plain
mean, the area-weighted and the calibrated score, and for the one shown: mean score, MAE, masks below 0.8; and how many
intervals hold the shown score. ``--out`` writes every mask's scores as a table. Prints; asserts nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from audit_truth_bench import chosen_cases, corrupted

from QualitySentinelLib.checkpoint import load_model
from QualitySentinelLib.datasets import Case
from QualitySentinelLib.files import atomic_write
from QualitySentinelLib.scorer import Scorer
from QualitySentinelLib.volume import Segmentation
from QualitySentinelLib.volume.segmentation import segment_from_mask
from QualitySentinelTrainingLib.dice import volume_dice
from QualitySentinelTrainingLib.model_files import seen_by
from QualitySentinelTrainingLib.subjects import Subject, read_subject

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
SCORES = ("mean", "area_weighted", "calibrated", "shown")


def main() -> int:
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED, help="folder with openkbp/ and totalsegmentator/")
    parser.add_argument("--cases", type=int, help="so many of OpenKBP's patients (all that were never trained on)")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--out", type=Path, help="a CSV of all masks")
    options = parser.parse_args()
    model = load_model(options.model)
    scorer = Scorer(model)
    seen = seen_by(model)
    folders = [f for f in chosen_cases(options.data / "openkbp", seen, None) if f.name not in seen][: options.cases]
    rows = []
    for number, folder in enumerate(folders):
        print(f"\r{number + 1} of {len(folders)} patients", end="", file=sys.stderr, flush=True)
        subject = read_subject(Case(folder.name, "ct.nii.gz", "seg.nii.gz", names="openkbp", root=folder), "OpenKBP")
        rows += scored(scorer, subject, "OpenKBP, manual", None)
        rows += scored(scorer, subject, "OpenKBP, one error", np.random.default_rng(number))
    print(file=sys.stderr)
    files, root = ("example_ct.nii.gz", "example_seg_fast_force_split.nii.gz"), options.data / "totalsegmentator"
    example = read_subject(Case("example", *files, names="totalsegmentator", root=root), "TotalSegmentator")
    rows += scored(scorer, example, "TotalSegmentator example", None)
    table = pd.DataFrame(rows)
    if options.out:
        atomic_write(options.out, table.to_csv(index=False))
    for name, group in table.groupby("masks", sort=False):
        held = ((group.low <= group.shown) & (group.shown <= group.high)).mean()
        true = ((group.low <= group.dsc) & (group.dsc <= group.high)).mean()
        print(f"{name}: {len(group)} masks of {group.case.nunique()} cases, mean DSC {group.dsc.mean():.3f}; "
              f"intervals hold the shown score of {100 * held:.0f} % and the DSC of {100 * true:.0f} %")  # fmt: skip
        for score in SCORES:
            error, below = (group[score] - group.dsc).abs().mean(), (group[score] < 0.8).sum()
            print(f"  {score:13}  mean {group[score].mean():.3f}  MAE {error:.3f}  below 0.8: {below}")
    return 0


def scored(scorer: Scorer, subject: Subject, masks: str, rng: np.random.Generator | None) -> list[dict]:
    """One row per mask: its true DSC and all its scores; with ``rng`` every mask is corrupted first."""
    references = {s: subject.labels == value for value, s in sorted(subject.structures.items())}
    drawn = references if rng is None else {s: corrupted(subject, mask, rng)[0] for s, mask in references.items()}
    segments = [
        segment_from_mask(mask, id=name, name=name, structure=name) for name, mask in drawn.items() if mask.any()
    ]
    case = scorer.score(subject.ct, Segmentation(segments, subject.ct.frame))
    curve = scorer.model.metadata.get("calibration", {}).get("segment")
    return [
        {
            "masks": masks, "case": subject.name, "structure": s.structure,
            "dsc": volume_dice(drawn[s.structure], references[s.structure]),
            "mean": s.mean_dsc, "area_weighted": s.area_weighted_dsc,
            "calibrated": np.interp(s.area_weighted_dsc, curve["aggregated"], curve["dsc"]) if curve else np.nan,
            "shown": s.predicted_dsc, "low": s.dsc_low, "high": s.dsc_high,
        }
        for s in case.segments
        if s.slices
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
