"""What ``travel`` finds, and what it costs: each line of docs/MULTI_CENTER.md's measurements is a command here.

``openkbp`` and ``lesions`` run one experiment per seed, over 20 centers of the sizes of a study, 20 % of them harmful;
``engines`` runs the same work in one process and on NVFlare's simulator; ``memory`` travels through 83 centers;
``recovery`` kills a site and the server.
All go on where they were stopped.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from QualitySentinelLib.datasets import find_cases
from QualitySentinelLib.datasets.table import read_table
from QualitySentinelLib.files import atomic_write
from QualitySentinelTrainingLib.pages import write_table
from QualitySentinelTrainingLib.travelling.experiment import Experiment, NetworkOptions
from QualitySentinelTrainingLib.travelling.protocol import Fate, TravelOptions
from QualitySentinelTrainingLib.travelling.report import binary_figures, detection
from QualitySentinelTrainingLib.travelling.sites import do_harm, read_sizes, split_sites, write_sites
from QualitySentinelTrainingLib.travelling.travel import FINAL, events_of, travel, visits_of
from Research.lesions import make_lesions

_IMAGE_HARM = ("inverted", "noise", "wrong labels", "HU offset")
_ALL_HARM = (*_IMAGE_HARM, "shifted masks", "mirrored")
_COLUMNS = (
    "seed", "way", "harmful_in_centers", "sensitivity", "harmful_alone", "sensitivity_alone", "good", "specificity",
    "harmful_centers", "centers_found", "good_centers", "centers_spared",
)  # fmt: skip


def openkbp(options: argparse.Namespace) -> Path:
    """Segmentation of seven structures of the head and neck."""
    network = NetworkOptions(slice_mm=25.0, slices=8)
    rules = {"cycles": 4, "tolerance": 0.005, "drift": 0.05, "revisit_after": 1}
    return _seeds(options, options.data, _ALL_HARM, network, rules, clean_cycles=10, quality=True)


def lesions(options: argparse.Namespace) -> Path:
    """Classification of generated bodies with and without a lesion."""
    data = options.out / "bodies"
    if not data.is_dir():
        make_lesions(data, 300)
    network = NetworkOptions(size=24, widths=(8, 16, 32), learning_rate=1e-3, half_life=80)
    rules = {"cycles": 5, "tolerance": 0.01, "drift": 0.1, "revisit_after": 1}
    told = {"clean_cycles": 8, "task": "classification", "verify_by": "loss"}
    return _seeds(options, data, _IMAGE_HARM, network, rules, (0.25, 0.2), **told)


def _seeds(
    options: argparse.Namespace, data: Path, kinds: Sequence[str], network: NetworkOptions, rules: dict,
    held: tuple[float, float] = (0.15, 0.2), **changes,
) -> Path:  # fmt: skip
    rows, figures, costs = [], [], []
    for seed in range(options.seeds):
        out = options.out / f"seed_{seed}"
        table = split_sites(find_cases(data), 20, read_sizes(options.sizes), "", *held, seed)
        sites = write_sites(out / "sites_of_cases.csv", do_harm(table, kinds, 0.2, 0.05, seed))
        experiment = Experiment(data=data, sites=sites, network=network, travel=TravelOptions(**rules), **changes)
        travel(experiment, out)
        told = read_table(out / "samples.csv")
        rows += [[seed, *row] for row in _found(told)]
        figures += [[seed, name or "guarded", *_final(out / name / FINAL)] for name in ("", "clean", "dirty")]
        state = visits_of(out)[-1].head["state"]
        spent = state["seconds_verifying"] / (state["seconds_verifying"] + state["seconds_training"])
        costs.append([seed, state["verifications"], state["seconds_training"], state["seconds_verifying"], spent])
    write_table(options.out / "detection.csv", _COLUMNS, rows)
    write_table(options.out / "figures.csv", ("seed", "training", "first", "second"), figures)
    return write_table(
        options.out / "costs.csv", ("seed", "verifications", "training_s", "verifying_s", "share_verifying"), costs
    )


def _found(told: Sequence[dict]) -> Iterator[list]:
    """Sensitivity and specificity of each signal, alone and together."""
    rows = [(r["sample"], r["site"], r["harm"]) for r in told]
    ways = {
        "eliminated": lambda r: r["fate"] == "eliminated",
        "rejected in the first cycle": lambda r: r["first_rejected"] == "0",
        "rejected ever": lambda r: int(r["rejected"]) > 0,
        "predicted DSC, before any update": lambda r: bool(r["suspicious"]),
        "predicted DSC, or rejected in the first cycle": lambda r: bool(r["suspicious"]) or r["first_rejected"] == "0",
        "predicted DSC, or eliminated": lambda r: bool(r["suspicious"]) or r["fate"] == "eliminated",
    }
    for way, found in ways.items():
        inside, single, centers = detection(rows, {r["sample"]: found(r) for r in told})
        yield [way, *inside[1:3], *single[1:3], *inside[3:], *centers[1:]]


def _final(path: Path) -> tuple[float, float]:
    """Mean DSC and NSD; or accuracy and AUROC."""
    rows = read_table(path)
    if "dsc" in rows[0]:
        nsd = next(name for name in rows[0] if name.startswith("nsd"))
        return tuple(float(np.nanmean([float(row[name] or "nan") for row in rows])) for name in ("dsc", nsd))
    truth = np.array([float(row["positive"]) > 0 for row in rows])
    accuracy, *_, area = binary_figures(np.array([float(row["probability"]) for row in rows]), truth)
    return accuracy, area


def engines(options: argparse.Namespace) -> Path:
    """The same journey in one process and on NVFlare's simulator: seconds, and the memory of all processes."""
    data = options.out / "bodies"
    if not data.is_dir():
        make_lesions(data, 60)
    sites = write_sites(options.out / "sites_of_cases.csv", split_sites(find_cases(data), options.sites))
    found = {}
    for engine in ("core", "simulator"):
        experiment = Experiment(
            data=data, sites=sites, task="classification", engine=engine, baselines=False,
            network=NetworkOptions(size=24, widths=(8, 16, 32)), travel=TravelOptions(cycles=3),
        )  # fmt: skip
        started = time.perf_counter()
        with _memory() as peak:
            travel(experiment, options.out / engine)
        found[engine] = {"seconds": time.perf_counter() - started, "pss_mib": peak[0]}
    found["visits"] = len(visits_of(options.out / "core"))
    return atomic_write(options.out / "engines.json", json.dumps(found, indent=1))


def memory(options: argparse.Namespace) -> Path:
    """Peak memory of one process that travels through 83 centers."""
    data = options.out / "bodies"
    if not data.is_dir():
        make_lesions(data, 400)
    sizes = read_sizes(options.sizes)
    sites = write_sites(options.out / "sites_of_cases.csv", split_sites(find_cases(data), len(sizes), sizes))
    experiment = Experiment(
        data=data, sites=sites, task="classification", baselines=False, travel=TravelOptions(cycles=1),
        network=NetworkOptions(size=24, widths=(8, 16, 32)),
    )  # fmt: skip
    started = time.perf_counter()
    travel(experiment, options.out / "core")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = {"centers": len(sizes), "seconds": time.perf_counter() - started, "peak_mib": peak}
    return atomic_write(options.out / "memory.json", json.dumps(told, indent=1))


def recovery(options: argparse.Namespace) -> Path:
    """A site, then the server, of NVFlare's services on this machine is killed in mid-cycle."""
    import psutil

    data = options.out / "bodies"
    if not data.is_dir():
        make_lesions(data, 40)
    sites = write_sites(options.out / "sites_of_cases.csv", split_sites(find_cases(data), 3, [5, 3, 1]))
    experiment = Experiment(
        data=data, sites=sites, task="classification", baselines=False, answer_within=60,
        travel=TravelOptions(cycles=2, batch_size=4, tolerance=0.05), network=NetworkOptions(size=16, widths=(4, 8)),
    )  # fmt: skip
    travel(experiment, options.out / "core")
    found = {}
    for victim in ("center_2", "server"):
        out = (options.out / victim).resolve()
        command = get_context("spawn").Process(target=travel, args=(replace(experiment, engine="poc"), out))
        command.start()
        while command.is_alive() and len(visits_of(out)) < 2:
            time.sleep(0.5)
        for process in psutil.process_iter(["cmdline"]):
            if any(str(out) in word and f"/prod_00/{victim}" in word for word in process.info["cmdline"] or ()):
                process.kill()
        started = time.perf_counter()
        command.join()
        ours, theirs = (load_file(folder / "model.safetensors") for folder in (options.out / "core", out))
        events = events_of(visits_of(out))
        found[victim] = {
            "exit_code": command.exitcode, "seconds_after_kill": time.perf_counter() - started,
            "passed_over": [[e.cycle, e.center] for e in events if e.fate is Fate.PASSED_OVER],
            "visited_again": any(e.cycle == 1 and e.center == "center_2" and e.errors for e in events),
            "equals_one_process": all((ours[name] == theirs[name]).all() for name in ours),
        }  # fmt: skip
    return atomic_write(options.out / "recovery.json", json.dumps(found, indent=1))


@contextmanager
def _memory() -> Iterator[list[float]]:
    """The highest proportional set size of this process and all it started, MiB; looked at every two seconds."""
    import psutil

    peak, done = [0.0], threading.Event()

    def look() -> None:
        while not done.wait(2.0):
            total = 0
            for process in (me := psutil.Process(), *me.children(recursive=True)):
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            peak[0] = max(peak[0], total / 2**20)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure one thing, and print the file that says what was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ways = {"openkbp": openkbp, "lesions": lesions, "engines": engines, "memory": memory, "recovery": recovery}
    parser.add_argument("what", choices=ways)
    parser.add_argument("--data", type=Path, help="OpenKBP as case folders")
    parser.add_argument("--sizes", type=Path, help="sizes of centers, JSON")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sites", type=int, default=4, help="of 'engines'")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    print(ways[options.what](options))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
