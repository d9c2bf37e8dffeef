"""What ``travel`` finds, and what it costs: each line of docs/MULTI_CENTER.md's measurements is a command here.

``openkbp``, ``lesions`` and ``published`` run one experiment per seed, over 20 centers of the sizes of a study, 20 % of
them harmful; ``findings`` asks ``find-errors`` which samples are harmful, before any update;
``engines`` runs the same work in one process and on NVFlare's simulator; ``memory`` travels through 83 centers;
``recovery`` kills a site and the server; ``provisioned`` starts them from NVFlare's startup kits.
All go on where they were stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from QualitySentinelLib.datasets import find_cases
from QualitySentinelLib.datasets.table import read_table
from QualitySentinelLib.files import atomic_write
from QualitySentinelTrainingLib.label_errors.find import find_errors
from QualitySentinelTrainingLib.label_errors.options import FindOptions
from QualitySentinelTrainingLib.option_files import parsed_change, read_options
from QualitySentinelTrainingLib.pages import write_table
from QualitySentinelTrainingLib.segmentation.folds import write_label_map
from QualitySentinelTrainingLib.segmentation.options import SegmentationOptions
from QualitySentinelTrainingLib.segmentation.probabilities import write_names
from QualitySentinelTrainingLib.stats import auroc, outlier_limit
from QualitySentinelTrainingLib.travelling.experiment import (
    Experiment,
    NetworkOptions,
    Sample,
    Server,
    Signal,
    looks_of,
    samples_of,
)  # fmt: skip
from QualitySentinelTrainingLib.travelling.journeys import FINAL, events_of, visits_of
from QualitySentinelTrainingLib.travelling.models import OWN_LOSS
from QualitySentinelTrainingLib.travelling.protocol import Fate, TravelOptions
from QualitySentinelTrainingLib.travelling.report import CLASSIFIED, DETECTION, SEGMENTED, detection, found_by, summary
from QualitySentinelTrainingLib.travelling.sites import TRAIN, do_harm, read_sizes, split_sites, write_sites
from QualitySentinelTrainingLib.travelling.travel import suspects_of, travel
from Research.lesions import make_lesions

_IMAGE_HARM = ("inverted", "noise", "wrong labels", "HU offset")
_SIGNALS = ("signal", "harm", "harmful", "good", "AUROC", "sensitivity", "specificity")
_ALL_HARM = (*_IMAGE_HARM, "shifted masks", "mirrored")

def openkbp(options: argparse.Namespace) -> Path:
    """Segmentation of seven structures of the head and neck."""
    network = NetworkOptions(slice_mm=25.0, slices=8, half_life=300, momentum=0.9)
    rules = {"cycles": 2, "batch_size": 1, "tolerance": 0.01, "drift": 0.05, "revisit_after": 1}
    return _seeds(options, options.data, _ALL_HARM, network, rules, clean_cycles=12, quality=True)


def lesions(options: argparse.Namespace) -> Path:
    """Classification of generated bodies with and without a lesion."""
    data = _bodies(options.out, 300)
    network = NetworkOptions(
        size=24, widths=(8, 16, 32), learning_rate=1e-3, half_life=600, momentum=0.9, trial_rate=0.01
    )
    rules = {"cycles": 2, "batch_size": 1, "trial_steps": 8, "tolerance": 0.01, "drift": 0.1, "revisit_after": 1}
    told = {"clean_cycles": 14, "task": "classification", "verify_by": "loss"}
    return _seeds(options, data, _IMAGE_HARM, network, rules, (0.25, 0.2), **told)


def published(options: argparse.Namespace) -> Path:
    """The small classification set under the published rules: batches of five, rates, no trials."""
    network = NetworkOptions(size=24, widths=(8, 16, 32), learning_rate=1e-3, half_life=120, momentum=0.9)
    told = {"clean_cycles": 14, "task": "classification", "published": True}
    return _seeds(options, _bodies(options.out, 300), _IMAGE_HARM, network, {"cycles": 6}, (0.25, 0.2), **told)


def _seeds(
    options: argparse.Namespace, data: Path, kinds: Sequence[str], network: NetworkOptions, rules: dict,
    held: tuple[float, float] = (0.15, 0.2), **changes,
) -> Path:  # fmt: skip
    rows, figures, costs, told_by = [], [], [], []
    for seed in range(options.seeds):
        out = options.out / f"seed_{seed}"
        table = split_sites(find_cases(data), 20, read_sizes(options.sizes), "", *held, seed)
        sites = write_sites(out / "sites_of_cases.csv", do_harm(table, kinds, 0.2, 0.05, seed))
        told = {"data": data, "sites": sites, "network": network, "travel": TravelOptions(**rules)} | changes
        experiment = read_options(Experiment, None, **told | dict(map(parsed_change, options.set)))
        travel(experiment, out)
        empty = {name: [""] for name in ("first_rejected", "eliminated_in")}
        told = pd.read_csv(out / "samples.csv", keep_default_na=False, na_values=empty)
        rows += [[seed, *row] for row in found_by(told)]
        told_by += [[seed, *row] for row in _told_by(experiment, out)]
        for name in ("", "clean", "dirty"):
            told_of = summary(read_table(out / name / FINAL), experiment.task == "classification")
            figures.append([seed, name or "guarded", *told_of])
        state = visits_of(out)[-1].head["state"]
        spent = state["seconds_verifying"] / (state["seconds_verifying"] + state["seconds_training"])
        costs.append([seed, state["verifications"], state["seconds_training"], state["seconds_verifying"], spent])
        what = CLASSIFIED if experiment.task == "classification" else SEGMENTED
        seconds = ("verifications", "training_s", "verifying_s", "share_verifying")
        write_table(options.out / "signals.csv", ("seed", *_SIGNALS), told_by)
        write_table(options.out / "detection.csv", ("seed", *DETECTION), rows)
        write_table(options.out / "figures.csv", ("seed", "training", *what), figures)
        write_table(options.out / "costs.csv", ("seed", *seconds), costs)
    return options.out


def _told_by(experiment: Experiment, out: Path) -> Iterator[list]:
    """How well numbers tell harmful from good samples, each alone, by kind of harm: AUROC, and what the rule rejects.

    The rise of each error by single samples in the first cycle; and the loss of samples before it. The start has
    learned from the good samples, so that their loss is compared with that of test patients, which it never saw.
    """
    samples = samples_of(experiment)
    harm = {s.name: s.harm for s in samples}
    state = next(visit.head["state"] for visit in visits_of(out) if not visit.head["center"])
    numbers = {name: rises for name, rises in state["rises"].items() if name.endswith("single")}
    server = Server(experiment, samples)
    server.restore(load_file(max((out / "start" / "weights").iterdir())))
    shown = looks_of(server.model, [s for s in samples if s.harm]) | server.test
    numbers["own loss, against unseen patients"] = {name: server.model.loss([look]) for name, look in shown.items()}
    for signal, values in numbers.items():
        limit = experiment.travel.tolerance + max(0.0, outlier_limit(list(values.values())))
        limit = server.expected()[OWN_LOSS] if OWN_LOSS in signal or "own loss" in signal else limit
        for kind in [*sorted({harm[name] for name in values} - {""}), "any"]:
            some = [name for name in values if not harm[name] or kind in (harm[name], "any")]
            bad = np.array([bool(harm[name]) for name in some])
            value = np.array([values[name] for name in some])
            shares = float((value[bad] > limit).mean()), float((value[~bad] <= limit).mean())
            yield [signal, kind, int(bad.sum()), int((~bad).sum()), auroc(value, bad), *shares]


def findings(options: argparse.Namespace) -> Path:
    """What ``find-errors`` and predicted DSC tell of harmful samples before any update, alone and together."""
    networks = SegmentationOptions(epochs=(1,), size=64, pixel_mm=6.0, slice_mm=6.0, steps=600, batch_size=8)
    rows: list[list] = []
    areas: list[list] = []
    for seed in range(options.seeds):
        out = options.out / f"seed_{seed}"
        table = split_sites(find_cases(options.data), 20, read_sizes(options.sizes), "", 0.15, 0.2, seed)
        sites = write_sites(out / "sites_of_cases.csv", do_harm(table, _ALL_HARM, 0.2, 0.05, seed))
        experiment = Experiment(data=options.data, sites=sites, quality=True)
        samples = [s for s in samples_of(experiment) if s.split == TRAIN]
        _write_harmed(samples, out / "harmed")
        data = find_cases(out / "harmed")
        find_errors(data, out / "errors", FindOptions(), replace(networks, seed=seed), device="cpu")
        errors = out / "errors" / "label_errors.csv"
        signals = Signal(errors, "label_quality"), Signal(errors, "share_wrong", low_is_bad=False)
        found = suspects_of(replace(experiment, signals=signals), samples, out, print)
        ways = {name: {name} for name in ("predicted DSC", "label_quality", "share_wrong")}
        ways |= {"any": set(ways), "label_quality or share_wrong": {"label_quality", "share_wrong"}}
        told = pd.DataFrame({"site": [s.center for s in samples], "harm": [s.harm for s in samples]})
        for way, names in ways.items():
            said = pd.Series([bool(names & {*found.get(s.name, ())}) for s in samples])
            rows += [[seed, way, *row] for row in detection(told, said)]
        whole = pd.read_csv(errors).query("structure.isna()").set_index("case").loc[[s.name for s in samples]]
        for kind in (*sorted({*told["harm"]} - {""}), "any"):
            bad, some = told["harm"] != "", told["harm"].isin(["", kind]) | (kind == "any")
            for column, sign in (("label_quality", -1), ("share_wrong", 1)):
                area = auroc(sign * whole[column].to_numpy()[some], bad.to_numpy()[some])
                areas.append([seed, column, kind, int(bad[some].sum()), area])
        write_table(options.out / "findings.csv", ("seed", *DETECTION), rows)
        write_table(options.out / "findings_auroc.csv", ("seed", "signal", "harm", "harmful", "AUROC"), areas)
    return options.out


def _write_harmed(samples: Sequence[Sample], data: Path) -> None:
    """The samples with their harm done to them, as a data set."""
    if (data / "labels.json").is_file():
        return
    classes = ["background"]
    for sample in samples:
        subject, folder = sample.read(), data / sample.name
        classes += sorted({*subject.structures.values()} - {*classes})
        values = np.zeros(max(subject.structures) + 1, np.uint8)
        for value, name in subject.structures.items():
            values[value] = classes.index(name)
        write_label_map(folder / "ct.nii.gz", np.rint(subject.ct.hu).astype(np.int16), subject.ct.frame)
        write_label_map(folder / "seg.nii.gz", values[subject.labels], subject.ct.frame)
    write_names(data, classes)


def engines(options: argparse.Namespace) -> Path:
    """The same journey in one process and on NVFlare's simulator: seconds, and the memory of all processes."""
    experiment = _small(options.out, 60, options.sites, size=24, widths=(8, 16, 32), cycles=3)
    found: dict = {}
    for engine in ("core", "simulator"):
        started = time.perf_counter()
        with _memory() as peak:
            travel(replace(experiment, engine=engine), options.out / engine)
        found[engine] = {"seconds": time.perf_counter() - started, "pss_mib": peak[0]}
    found |= {"visits": len(visits_of(options.out / "core")), "equal": _equal(options.out, "simulator")}
    return atomic_write(options.out / "engines.json", json.dumps(found, indent=1))


def memory(options: argparse.Namespace) -> Path:
    """Peak memory of one process that travels through 83 centers."""
    sizes = read_sizes(options.sizes)
    experiment = _small(options.out, 400, len(sizes), sizes, size=24, widths=(8, 16, 32), cycles=1)
    started = time.perf_counter()
    travel(experiment, options.out / "core")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = {"centers": len(sizes), "seconds": time.perf_counter() - started, "peak_mib": peak}
    return atomic_write(options.out / "memory.json", json.dumps(told, indent=1))


def recovery(options: argparse.Namespace) -> Path:
    """A site, then the server, of NVFlare's services on this machine is killed in mid-cycle."""
    from QualitySentinelTrainingLib.travelling.federated import end_services

    experiment = replace(_small(options.out, 40, 3, [5, 3, 1]), answer_within=60)
    travel(experiment, options.out / "core")
    found = {}
    for victim in ("center_2", "server"):
        out = (options.out / victim).resolve()
        command = get_context("spawn").Process(target=travel, args=(replace(experiment, engine="poc"), out))
        command.start()
        while command.is_alive() and len(visits_of(out)) < 2:
            time.sleep(0.5)
        end_services(next(out.glob(f"nvflare/poc/*/prod_00/{victim}")))
        started = time.perf_counter()
        command.join()
        events = events_of(visits_of(out))
        found[victim] = {
            "exit_code": command.exitcode, "seconds_after_kill": time.perf_counter() - started,
            "passed_over": [[e.cycle, e.center] for e in events if e.fate is Fate.PASSED_OVER],
            "visited_again": any(e.cycle == 1 and e.center == "center_2" and e.errors for e in events),
            "equals_one_process": _equal(options.out, victim),
        }  # fmt: skip
    return atomic_write(options.out / "recovery.json", json.dumps(found, indent=1))


def provisioned(options: argparse.Namespace) -> Path:
    """A server and two sites from startup kits, started by their ``start.sh``; the job goes through ``ProdEnv``."""
    import yaml
    from nvflare import lighter
    from nvflare.recipe.prod_env import ProdEnv

    from QualitySentinelTrainingLib.travelling.federated import SITE_VARIABLE, end_services, travel_recipe

    out, admin = options.out.resolve(), "admin@hospital.org"
    experiment = _small(out, 40, 2, [5, 3])
    travel(experiment, out / "core")
    members: list[tuple[str, str, dict]] = [("localhost", "server", {"fed_learn_port": 8002})]
    members += [(admin, "admin", {"role": "project_admin"}), *((f"center_{n}", "client", {}) for n in (1, 2))]
    project = yaml.safe_load((Path(lighter.__file__).parent / "dummy_project.yml").read_text(encoding="utf-8"))
    people = [{"name": name, "type": kind, "org": "hospital", **told} for name, kind, told in members]
    atomic_write(out / "project.yml", yaml.safe_dump(project | {"participants": people}))
    programs = Path(sys.executable).parent
    env = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([programs / "nvflare", "provision", "-p", "project.yml"], cwd=out, env=env, check=True)
    kits = out / "workspace" / project["name"] / "prod_00"
    network = "[network]\nsize = 16\nwidths = [4, 8]\n"
    own = f'data = "{experiment.data}"\nsites = "{experiment.sites}"\ntask = "classification"\n{network}'
    env[SITE_VARIABLE] = str(atomic_write(out / "site.toml", own))
    for name in ("localhost", "center_1", "center_2"):
        with open(out / f"{name}.log", "ab") as log:
            subprocess.run(["bash", kits / name / "startup" / "start.sh"], env=env, stdout=log, stderr=log, check=True)
    started = time.perf_counter()
    try:
        time.sleep(20)
        production = ProdEnv(startup_kit_location=str(kits / admin), username=admin, login_timeout=30)
        run = travel_recipe(replace(experiment, engine="poc"), out / "server", sites=2).run(production)
        run.get_result()
        status = run.get_status()
    finally:
        end_services(kits)
    found = {"status": status, "seconds": time.perf_counter() - started, "equals_one_process": _equal(out, "server")}
    return atomic_write(out / "provisioned.json", json.dumps(found, indent=1))


def _bodies(out: Path, cases: int) -> Path:
    return out / "bodies" if (out / "bodies").is_dir() else make_lesions(out / "bodies", cases)


def _small(
    out: Path, cases: int, sites: int, sizes: Sequence[float] | None = None, size: int = 16,
    widths: tuple[int, ...] = (4, 8), cycles: int = 2,
) -> Experiment:  # fmt: skip
    """A classifier of generated bodies at so many centers, without baselines."""
    data = _bodies(out, cases)
    table = write_sites(out / "sites_of_cases.csv", split_sites(find_cases(data), sites, sizes))
    return Experiment(
        data=data, sites=table, task="classification", baselines=False, travel=TravelOptions(cycles=cycles),
        network=NetworkOptions(size=size, widths=widths),
    )  # fmt: skip


def _equal(out: Path, name: str) -> bool:
    """Whether a journey's model is that of one process, to the last bit."""
    ours, theirs = (load_file(out / folder / "model.safetensors") for folder in ("core", name))
    return all((ours[name] == theirs[name]).all() for name in ours)


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
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = (openkbp, lesions, published, findings, engines, memory, recovery, provisioned)
    ways = {command.__name__: command for command in commands}
    parser.add_argument("what", choices=ways)
    parser.add_argument("--data", type=Path, help="OpenKBP as case folders")
    parser.add_argument("--sizes", type=Path, help="sizes of centers, JSON")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], help="changes an option: travel.own_loss=false")
    parser.add_argument("--sites", type=int, default=4, help="of 'engines'")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    print(ways[options.what](options))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
