"""How well a model's error maps find what is wrong with masks, and what applying them does (docs/ERROR_MAPS.md).

    python Testing/Benchmarks/error_maps_bench.py --data FOLDER... [--predictions FOLDER...] [--cases N]

``--data``: CTs with reference masks, as ``make-pairs`` takes them; patients that the model was trained on are left out.
``--predictions``: networks' masks of them, as ``make-pairs`` takes them. Judged are two masks with simulated errors of
each structure, and the networks'. Every second patient of the first data set chooses the threshold of the expected
mask; all other figures are of the others, and of the other data sets. Prints Markdown; asserts nothing.

- Pixels: average precision and best F1 of wrong pixels among those judged (the crop), by the map and by the distance to
  the mask's edge, nearest first. The share of wrong pixels is the average precision of chance.
- Regions: connected pixels of a slice, at least 50 mm2. A wrong one is found when a tenth of it is suggested, and a
  suggested one is right when a tenth of it is wrong (``--touched``).
- Corrections: the DSC of slices before and after all suggestions were applied; "checked": only where the model predicts
  a higher DSC for the changed mask, by more than 0.02. Worse: the DSC falls by more than 0.01. Slices in which there
  should be no mask have no DSC that could rise: of those, the share that the suggestions empty is given. "Kept": every
  suggestion is applied and undone where the predicted DSC does not rise; figures of all slices.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from QualitySentinelLib.checkpoint import load_model
from QualitySentinelLib.datasets.predictions import find_predictions
from QualitySentinelLib.scorer import Scorer
from QualitySentinelLib.suggestions import DEFAULT_THRESHOLD, Drawings, ErrorMap, error_map
from QualitySentinelLib.volume import Segment, Segmentation
from QualitySentinelLib.volume.segmentation import segment_from_mask
from QualitySentinelTrainingLib.candidates import Candidate, candidates_of, simulated_candidates
from QualitySentinelTrainingLib.model_files import seen_by
from QualitySentinelTrainingLib.subjects import Subject, find_subjects

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6)
LEAST_MM2, GAIN, NOTABLE, FLAGGED = 50.0, 0.02, 0.01, 0.8
STEPS, STEP_MM = 1000, 0.5
"""Bins of probability, and the width of those of distance: average precision over them needs no list of pixels."""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--predictions", type=Path, nargs="*", default=[])
    parser.add_argument("--cases", type=int, help="at most so many patients of each data set")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--touched", type=float, default=0.1, help="share of a region that makes it found")
    options = parser.parse_args()
    scorer = Scorer(load_model(options.model), slices=10**6)
    seen = seen_by(scorer.model)
    predictions = [p for folder in options.predictions for p in find_predictions(folder)]
    rows: list[dict] = []
    for data in options.data:
        sources = [s for s in find_subjects(data) if not {s.name, s.patient} & seen][: options.cases]
        for number, source in enumerate(sources):
            print(f"\r{data.name}: {number + 1} of {len(sources)} patients ", end="", file=sys.stderr, flush=True)
            subject = source.read()
            candidates = list(simulated_candidates(subject, np.random.default_rng(number), 2))
            for prediction in (p for p in predictions if p.subject == source.name):
                candidates += candidates_of(prediction, subject, [])
            chooses = number % 2 == 0 and data == options.data[0]
            for row in judged(scorer, subject, candidates, options.touched):
                rows.append(row | {"data": source.source, "chooses": chooses, "patient": source.patient})
    print(file=sys.stderr)
    report(pd.DataFrame(rows))
    return 0


def judged(scorer: Scorer, subject: Subject, candidates: list[Candidate], touched: float) -> Iterator[dict]:
    """A row for each slice of the candidates' masks."""
    frame, pixel_mm = subject.ct.frame, subject.ct.frame.spacing[1:]
    held = [c for c in candidates if c.mask.any()]
    segments = [
        segment_from_mask(c.mask, c.corner, id=str(n), name=(s := subject.structures[c.value]), structure=s)
        for n, c in enumerate(held)
    ]
    drawings = Drawings()
    case = scorer.score(subject.ct, Segmentation(segments, frame), drawings=drawings)
    for score, segment, candidate in zip(case.segments, segments, held, strict=True):
        maps = [error_map(drawings.of(s), segment, s.k, frame.shape[1:]) for s in score.slices]
        again = scored_again(scorer, subject, segment, maps)
        for s, found in zip(score.slices, maps, strict=True):
            whole = subject.labels[s.k] == candidate.value
            reference = whole[tuple(slice(a, a + n) for a, n in zip(found.corner, found.mask.shape, strict=True))]
            row = {"masks": candidate.origin, "dsc": dice(found.mask, reference, whole), "predicted": s.predicted_dsc}
            for t in THRESHOLDS:
                row[f"after {t}"] = dice(found.expected(t), reference, whole)
            row["again"] = again.get(s.k, np.nan)  # nothing suggested, or nothing left
            wrong, said = found.mask != reference, found.mask != found.expected()
            row["regions"] = [*regions(wrong, said, pixel_mm, touched), *regions(said, wrong, pixel_mm, touched)]
            row["nothing there"], row["emptied"] = not whole.any(), not found.expected().any()
            row["by map"], row["by distance"] = counts(found, wrong, pixel_mm)
            yield row


def scored_again(scorer: Scorer, subject: Subject, segment: Segment, maps: list[ErrorMap]) -> dict[int, float]:
    """Predicted DSC of the slices that the suggestions change, and leave something of."""
    planes = {m.k: m for m in maps if m.expected().any() and (m.expected() != m.mask).any()}
    if not planes:
        return {}
    first = min(planes)
    mask = np.zeros((max(planes) + 1 - first, *subject.ct.frame.shape[1:]), bool)
    for k, found in planes.items():
        place = tuple(slice(a, a + n) for a, n in zip(found.corner, found.mask.shape, strict=True))
        mask[k - first][place] = found.expected()
    changed = segment_from_mask(mask, (first, 0, 0), id="1", name=segment.name, structure=segment.structure)
    case = scorer.score(subject.ct, Segmentation([changed], subject.ct.frame))
    return {s.k: s.predicted_dsc for s in case.segments[0].slices}


def dice(mask, reference, whole) -> float:
    """DSC of a mask in the crop and a reference, of which ``reference`` lies in the crop; NaN without a reference."""
    area = np.count_nonzero(whole)
    return 2 * np.count_nonzero(mask & reference) / (np.count_nonzero(mask) + area) if area else np.nan


def regions(these, those, pixel_mm, touched: float) -> tuple[int, int]:
    """How many regions ``these`` has, and how many of them ``those`` touches."""
    parts, count = ndimage.label(these, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    hits = np.bincount(parts.ravel(), those.ravel(), minlength=count + 1)[1:]
    large = sizes * np.prod(pixel_mm) >= LEAST_MM2
    return int(large.sum()), int((hits >= touched * sizes)[large].sum())


def counts(found: ErrorMap, wrong, pixel_mm) -> list[np.ndarray]:
    """Right and wrong pixels, ``[2, bins]``, from the most suspect bin on: by the map, and by distance to the edge."""
    suspicion = np.rint(STEPS * (1 - np.maximum(found.wrong, found.missing)))
    mask = np.pad(found.mask, 1)
    inside, outside = (ndimage.distance_transform_edt(m, pixel_mm)[1:-1, 1:-1] for m in (mask, ~mask))
    distance = np.minimum((inside + outside) / STEP_MM, STEPS)
    return [
        np.stack([np.bincount(bins[wrong == w].astype(int), minlength=STEPS + 1) for w in (False, True)])
        for bins in (suspicion, distance)
    ]


def precision_and_f1(pixels: np.ndarray) -> tuple[float, float]:
    """Average precision, and the best F1."""
    right, wrong = np.cumsum(pixels, axis=1)
    precision, recall = wrong / np.maximum(right + wrong, 1), wrong / wrong[-1]
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    return float((precision * pixels[1]).sum() / wrong[-1]), float(f1.max())


def report(table: pd.DataFrame) -> None:
    """Print the tables."""
    print("\nThreshold of the expected mask, on the patients that choose it: mean DSC after; share of slices worse\n")
    print("| data, masks, slices, DSC before | " + " | ".join(map(str, THRESHOLDS)) + " |")
    print("|---" * (len(THRESHOLDS) + 1) + "|")
    for name, rows in groups(table[table.chooses & ~table["nothing there"]]):
        cells = [f"{rows[f'after {t}'].mean():.3f}; {worse(rows, f'after {t}'):.2f}" for t in THRESHOLDS]
        print(f"| {name}, {len(rows)}, {rows.dsc.mean():.3f} | " + " | ".join(cells) + " |")
    table = table[~table.chooses]
    print(f"\nOn the others, threshold {DEFAULT_THRESHOLD}\n")
    print("| data, masks | patients | wrong pixels | AP | by distance | F1 | by distance | regions: recall | right |")
    print("|---" * 9 + "|")
    for name, rows in groups(table, flagged=False):
        by_map, by_distance = (np.sum(rows[column].tolist(), axis=0) for column in ("by map", "by distance"))
        (ap, f1), (ap_distance, f1_distance) = precision_and_f1(by_map), precision_and_f1(by_distance)
        wrong, found, said, right = np.array(rows.regions.tolist()).sum(axis=0)
        figures = ap, ap_distance, f1, f1_distance, found / wrong, right / said
        print(f"| {name} | {rows.patient.nunique()} | {100 * by_map[1].sum() / by_map.sum():.1f} % | "
              + " | ".join(f"{figure:.2f}" for figure in figures) + " |")  # fmt: skip
    after = f"after {DEFAULT_THRESHOLD}"
    print("\n| data, masks | slices | DSC before, after | worse | checked: share | before, after | worse | emptied "
          "| kept: share | DSC of all | worse of all |")  # fmt: skip
    print("|---" * 11 + "|")
    for name, every in groups(table):
        rows, nothing = every[~every["nothing there"]], every[every["nothing there"]]
        checked, rises = rows[rows.again > rows.predicted + GAIN], rows.again > rows.predicted
        kept = rows.assign(**{after: rows[after].where(rises, rows.dsc)})
        print(f"| {name} | {len(rows)} | {rows.dsc.mean():.3f}, {rows[after].mean():.3f} | {worse(rows, after):.2f} | "
              f"{len(checked) / len(rows):.2f} | {checked.dsc.mean():.3f}, {checked[after].mean():.3f} | "
              f"{worse(checked, after):.2f} | {nothing.emptied.mean():.2f} of {len(nothing)} | {rises.mean():.2f} | "
              f"{kept[after].mean():.3f} | {worse(kept, after):.2f} |")  # fmt: skip


def groups(table: pd.DataFrame, flagged: bool = True) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows by data set and origin of the masks; with ``flagged`` also those predicted below 0.8."""
    for (data, masks), rows in table.groupby(["data", "masks"]):
        yield f"{data}, {masks}", rows
        if flagged:
            yield f"{data}, {masks}, predicted below {FLAGGED}", rows[rows.predicted < FLAGGED]


def worse(rows: pd.DataFrame, after: str) -> float:
    """Share of slices whose DSC falls notably."""
    return float((rows[after] < rows.dsc - NOTABLE).mean())


if __name__ == "__main__":
    sys.exit(main())
