"""What ranking a pool costs by each strategy: CPU time, memory and disk, each in a process of its own, in one run.

    python QualitySentinelTraining/Research/selection/cost.py --data OPENKBP --network epoch_0039.safetensors --out OUT

Every strategy gets the same network and CTs. ``random`` is what reading and starting cost. Disk is what a network
that is not ours would have to leave for the strategy: masks, class probabilities, or those of twenty passes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from QualitySentinelLib.datasets import find_cases, read_case_ct
from QualitySentinelLib.datasets.pool import find_pool
from QualitySentinelTrainingLib.pages import write_table
from QualitySentinelTrainingLib.segmentation.folds import write_label_map
from QualitySentinelTrainingLib.segmentation.network import SegmentationNetwork
from QualitySentinelTrainingLib.segmentation.probabilities import write_probabilities
from QualitySentinelTrainingLib.selection.image import PASSES

STORED = {"predicted-quality": "masks", "entropy": "probabilities", "mc-dropout": "passes"}
COLUMNS = (
    "strategy", "cases", "cpu_seconds", "above_random", "seconds_per_case", "peak_mb", "peak_above_random_mb",
    "disk_mb_per_case",
)  # fmt: skip


def measure(strategy: str, pool: Path, network: Path, out: Path) -> tuple[float, float]:
    """CPU seconds and peak memory in MB of ``select`` in a process of its own."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "QualitySentinelLib", "select", str(pool), "--layout", "openkbp", "--budget", "1"]
    command += ["--workers", "1"]
    command += ["--strategy", strategy, "--network", str(network), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def disk_mb(pool: Path, network_file: Path, out: Path) -> dict[str, float]:
    """MB for one case of what each strategy needs of another program's network, written for one case."""
    network, cases = SegmentationNetwork.load(network_file), find_pool(pool, "openkbp").cases[:1]
    for case in cases:
        ct = read_case_ct(case)
        write_label_map(out / "masks" / f"{case.name}.nii.gz", network.predict_labels(ct), ct.frame)
        for number in range(PASSES):
            probabilities = network.predict_probabilities(ct, dropout_seed=number)
            write_probabilities(out / "passes" / str(number) / f"{case.name}.npz", probabilities, ct.frame)
        shutil.copytree(out / "passes" / "0", out / "probabilities", dirs_exist_ok=True)
    return {
        strategy: sum(p.stat().st_size for p in (out / folder).rglob("*") if p.is_file()) / len(cases) / 1e6
        for strategy, folder in STORED.items()
    }


def main() -> None:
    """Measure, print and write ``cost.csv``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=12)
    options = parser.parse_args()
    pool = options.out / "pool"
    for case in find_cases(options.data, "openkbp").cases[: options.cases]:
        shutil.copytree(case.root / case.name, pool / case.name, dirs_exist_ok=True)
        (pool / case.name / Path(case.seg).name).unlink(missing_ok=True)
    disk = disk_mb(pool, options.network, options.out / "stored")
    rows, base = [], (0.0, 0.0)
    for strategy in ("random", "predicted-quality", "entropy", "mc-dropout"):
        seconds, peak = measure(strategy, pool, options.network, options.out / strategy)
        base = (seconds, peak) if strategy == "random" else base
        more = seconds - base[0]
        each = more / options.cases
        rows.append((strategy, options.cases, seconds, more, each, peak, peak - base[1], disk.get(strategy, 0.0)))
        print(*(f"{v:.3f}" if isinstance(v, float) else v for v in rows[-1]))
    write_table(options.out / "cost.csv", COLUMNS, rows)


if __name__ == "__main__":
    main()
