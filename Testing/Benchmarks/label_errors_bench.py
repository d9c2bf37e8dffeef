"""Time and memory of ``find-errors`` against the number of cases and their size, with probabilities that are there.

Usage: python Testing/Benchmarks/label_errors_bench.py [--out table.md]. Each row is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from QualitySentinelLib.files import atomic_write
from QualitySentinelLib.volume import AxialFrame
from QualitySentinelTrainingLib.segmentation.folds import write_label_map
from QualitySentinelTrainingLib.segmentation.probabilities import write_names, write_probabilities

CLASSES = ("background", "liver", "spleen", "kidney left", "kidney right")
SIZES = ((2, 64), (4, 64), (8, 64), (16, 64), (2, 96), (2, 128), (2, 160), (2, 192))
"""Cases, and voxels on a side of each."""


def make(folder: Path, cases: int, side: int) -> None:
    """Cases of four balls, a little of each labeled wrong."""
    frame = AxialFrame.from_affine(np.diag([-2.0, -2.0, 2.0, 1.0]), (side,) * 3)
    grid = np.meshgrid(*(np.linspace(-1, 1, side),) * 3, indexing="ij")
    truth = np.zeros((side,) * 3, np.uint8)
    for number, (y, x) in enumerate(((-0.4, -0.4), (-0.4, 0.4), (0.4, -0.4), (0.4, 0.4)), start=1):
        truth[grid[0] ** 2 + (grid[1] - y) ** 2 + (grid[2] - x) ** 2 < 0.09] = number
    given = truth.copy()
    given[side // 2, :, : side // 2][truth[side // 2, :, : side // 2] > 0] = 0
    for case in (f"case_{n}" for n in range(cases)):
        write_label_map(folder / "data" / case / "ct.nii.gz", np.zeros(truth.shape, np.int16), frame)
        write_label_map(folder / "data" / case / "seg.nii.gz", given, frame)
        sure = np.eye(5, dtype=np.float32)[truth].transpose(3, 0, 1, 2)
        write_probabilities(folder / "probabilities" / f"{case}.npz", sure * 0.9 + 0.02, frame)
    for place in ("data", "probabilities"):
        write_names(folder / place, CLASSES)


def measure(folder: Path) -> None:
    """Print seconds of CPU and the peak of memory, MiB, of a whole run."""
    from QualitySentinelLib.datasets import find_cases
    from QualitySentinelTrainingLib.label_errors.find import find_errors

    data, started = find_cases(folder / "data"), time.process_time()
    find_errors(data, folder / "out", probabilities=folder / "probabilities", say=lambda _: None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([time.process_time() - started, peak]))


def main() -> None:
    """Measure every size and fit straight lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
        return
    rows, lines = [], ["| cases | voxels of a case | CPU s | peak memory, MiB |", "|---|---|---|---|"]
    for cases, side in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), cases, side)
            run = [sys.executable, __file__, "--measure", folder]
            seconds, peak = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
        rows.append((cases, side**3, seconds, peak))
        lines.append(f"| {cases} | {side}³ | {seconds:.1f} | {peak:.0f} |")
    table = np.array(rows)
    for what, of, chosen in (("CPU s", 2, table[:, 1] > 0), ("peak MiB", 3, table[:, 0] == 2)):
        x = (table[:, 0] * table[:, 1])[chosen] / 1e6
        slope, start = np.polyfit(x, table[chosen, of], 1)
        r2 = np.corrcoef(x, table[chosen, of])[0, 1] ** 2
        lines.append(f"\n{what} = {start:.1f} + {slope:.2f} per million voxels, R² {r2:.3f}")
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        atomic_write(options.out, text)


if __name__ == "__main__":
    main()
