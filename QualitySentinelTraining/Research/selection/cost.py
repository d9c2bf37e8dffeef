"""What ranking a pool costs by each strategy, in one run: CPU time, memory and disk, each in a process of its own.

    python QualitySentinelTraining/Research/selection/cost.py --data OPENKBP --networks FIRST LAST --out OUT

Every strategy gets the same CTs and the last network (with dropout and deep supervision), ``disagreement`` all.
``random`` is what starting and reading cost. Disk is what another program's network would have to leave for the
strategy. ``audit`` scores the same masks: ranking by predicted quality should go at its pace. Then
``predicted-quality`` ranks pools of more and more cases, to see whether its memory grows. What was measured before a
stop is not measured again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from QualitySentinelLib.datasets import find_cases, read_case_ct
from QualitySentinelLib.datasets.pool import find_pool
from QualitySentinelTrainingLib.pages import write_table
from QualitySentinelTrainingLib.segmentation.folds import write_label_map
from QualitySentinelTrainingLib.segmentation.network import SegmentationNetwork
from QualitySentinelTrainingLib.segmentation.probabilities import write_names, write_probabilities
from QualitySentinelTrainingLib.selection.image import PASSES
from QualitySentinelTrainingLib.selection.strategies import STRATEGIES

COLUMNS = ("strategy", "cases", "cpu_seconds", "above_random", "seconds_per_case", "peak_mb", "peak_above_random_mb",
           "disk_mb_per_case")  # fmt: skip
WATCHED = """import os, json, sys
from pathlib import Path
from QualitySentinelLib.commands.main import main
code = main(sys.argv[2:])
told = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
if code == 0:
    Path(sys.argv[1]).write_text(json.dumps([sum(os.times()[:4]), int(told.split()[1]) / 1024]))
sys.exit(code)
"""
"""A command that leaves its CPU seconds and its own peak memory in MB; what wait4 says of it includes its parent's."""


def measured(out: Path, *command) -> tuple[float, float]:
    """CPU seconds and peak memory in MB of a command in a process of its own; kept beside its results in ``out``."""
    figures = out.with_suffix(".json")
    if not figures.is_file():
        shutil.rmtree(out, ignore_errors=True)
        told = [sys.executable, "-c", WATCHED, figures, *command, "--out", out]
        subprocess.run([str(part) for part in told], check=True, stdout=subprocess.DEVNULL)
    return tuple(json.loads(figures.read_text()))


def stored(pool: Path, network: SegmentationNetwork, out: Path) -> dict[str, float]:
    """Write masks of all cases, and their class probabilities; MB for a case of what strategies need of a network."""
    cases = find_pool(pool, "openkbp").cases
    for case in cases if not (out / "masks" / "labels.json").is_file() else ():
        ct = read_case_ct(case)
        write_label_map(out / "masks" / f"{case.name}.nii.gz", network.predict_labels(ct), ct.frame)
        write_probabilities(out / "probabilities" / f"{case.name}.npz", network.predict_probabilities(ct), ct.frame)
    write_names(out / "probabilities", network.classes)
    write_names(out / "masks", network.classes)
    each = {
        kind: sum(p.stat().st_size for p in (out / kind).glob(f"*{suffix}")) / len(cases) / 1e6
        for kind, suffix in (("masks", ".nii.gz"), ("probabilities", ".npz"))
    }
    times = {"passes": PASSES, "levels": 3, "networks": 1, "probabilities": 1, "scores": 1}
    return {
        s.name: each["masks"] if s.needs == "masks" else times.get(s.needs, 0) * each["probabilities"]
        for s in STRATEGIES.values()
    }


def main() -> None:
    """Measure, print and write ``cost.csv`` and ``memory.csv``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--networks", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=list(STRATEGIES))
    parser.add_argument("--sizes", type=int, nargs="+", default=[4, 16, 64], help="of pools whose memory is measured")
    options = parser.parse_args()
    out, cases = options.out, find_cases(options.data, "openkbp").cases

    def pool_of(number: int, name: str = "pool") -> Path:
        pool = out / f"{name}_{number}"
        for n in range(number):
            case = cases[n % len(cases)]
            (pool / f"pt_{n}").mkdir(parents=True, exist_ok=True)
            place = pool / f"pt_{n}" / Path(case.ct).name
            if not place.is_symlink():
                place.symlink_to(case.root / case.ct)
        return pool

    pool, last = pool_of(options.cases), options.networks[-1]
    disk = stored(pool, SegmentationNetwork.load(last), out)
    labeled = pool_of(options.cases, "labeled")
    for mask in (out / "masks").glob("*.nii.gz"):
        shutil.copy(mask, labeled / mask.name.removesuffix(".nii.gz") / "seg.nii.gz")

    def select(strategy: str, pool: Path, *given) -> tuple[float, float]:
        budget = "10slices" if strategy in ("area", "predicted-gain") else "1"
        return measured(out / f"{strategy}_{pool.name}", "select", pool, "--layout", "openkbp", "--budget", budget,
                        "--workers", 1, "--strategy", strategy, *given)  # fmt: skip

    rows, base = [], (0.0, 0.0)
    for strategy in dict.fromkeys(["random", *options.strategies]):
        given = ["--network", *(options.networks if strategy == "disagreement" else [last])]
        seconds, peak = select(strategy, pool, *given)
        base = (seconds, peak) if strategy == "random" else base
        rows.append((strategy, options.cases, seconds, seconds - base[0], (seconds - base[0]) / options.cases, peak,
                     peak - base[1], disk[strategy]))  # fmt: skip
        print(*(f"{v:.3f}" if isinstance(v, float) else v for v in rows[-1]), flush=True)
    scored = measured(out / "audit", "audit", labeled, "--names", out / "masks" / "labels.json", "--workers", 1,
                      "--device", "cpu")  # fmt: skip
    again = select("predicted-quality", pool_of(options.cases, "again"), "--predictions", out / "masks")
    rows += [(name, options.cases, v[0], v[0] - base[0], (v[0] - base[0]) / options.cases, v[1], v[1] - base[1], None)
             for name, v in (("audit of the masks", scored), ("predicted-quality of the masks", again))]  # fmt: skip
    write_table(out / "cost.csv", COLUMNS, rows)
    sizes = [(n, *select("predicted-quality", pool_of(n), "--network", last)) for n in options.sizes]
    write_table(out / "memory.csv", ("cases", "cpu_seconds", "peak_mb"), sizes)
    print(*(f"{n} cases: {seconds:.1f} s, {peak:.0f} MB" for n, seconds, peak in sizes), sep="\n")


if __name__ == "__main__":
    main()
