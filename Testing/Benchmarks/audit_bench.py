"""``audit_bench.py``: how fast, how frugal and how steady audits are, on this machine, in one run.

Prints figures; asserts nothing but that tables which must be equal are. Sections: ``throughput`` (against scoring
case by case), ``memory`` (against the number of cases), ``kills`` (tables after kills at random moments), ``ray``
(tables of the two engines). Real cases: OpenKBP where ``../shared`` has it, else generated ones.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np

from QualitySentinelLib.datasets import find_cases, read_case
from QualitySentinelLib.files import atomic_write
from QualitySentinelTrainingLib.audit.privacy import Deidentifier
from QualitySentinelTrainingLib.audit.run import AuditOptions, run_audit
from QualitySentinelTrainingLib.audit.store import segment_records

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "openkbp"
TABLES = [f"{table}.{suffix}" for table in ("cases", "segments", "slices") for suffix in ("csv", "parquet")]
NAMES = ("liver", "spleen", "kidney_left", "kidney_right")
WATCHED = (
    "import json, resource, sys; from pathlib import Path; from QualitySentinelLib.commands.main import main\n"
    "if __name__ == '__main__':\n"
    "    code = main(sys.argv[1:])\n"
    "    own = next(l for l in Path('/proc/self/status').read_text().splitlines() if l.startswith('VmHWM'))\n"
    "    # not ru_maxrss for itself: that starts with the peak of the process that started it\n"
    "    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
    "    print(json.dumps([int(own.split()[1]) / 1024, largest / 1024]))\n"
    "    sys.exit(code)\n"
)
"""The command, and the peak memory in MiB of its main process and of the largest of its workers."""


def main() -> None:
    """Run the sections asked for and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    parser.add_argument("--only", nargs="*", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--cases", type=int, default=2000, help="synthetic cases (default %(default)s)")
    parser.add_argument("--real", type=int, default=40, help="real cases of the throughput (default %(default)s)")
    parser.add_argument("--kills", type=int, default=20, help="kills (default %(default)s)")
    parser.add_argument("--workers", type=int, help="as audit takes it")
    parser.add_argument("--quick", action="store_true", help="40 synthetic cases, 4 real ones, 3 kills")
    options = parser.parse_args()
    if options.quick:
        options.cases, options.real, options.kills = 40, 4, 3
    print(f"{os.cpu_count()} cores, load of the last minute {os.getloadavg()[0]:.1f}")
    figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.only:
            print(f"\n== {name}", flush=True)
            figures[name] = SECTIONS[name](Path(scratch), options)
    atomic_write(options.out / "audit.json", json.dumps(figures, indent=2))
    print(f"\nfigures: {options.out / 'audit.json'}")


# -- cases ------------------------------------------------------------------------------------------------------------


def synthetic_cases(folder: Path, number: int) -> Path:
    """Small CTs (24 x 48 x 48) with four ellipsoids each, in TotalSegmentator's layout; made once."""
    for case in range(1, number + 1):
        path = folder / f"s{case:05d}"
        if (path / "segmentations").is_dir():
            continue
        rng = np.random.default_rng(case)
        hu, labels, affine = rng.normal(0, 15, (48, 48, 24)).astype(np.int16), [], np.diag([-4.0, -4.0, 5.0, 1.0])
        grid = np.meshgrid(*(np.arange(n) for n in hu.shape), indexing="ij")
        for _ in NAMES:
            centre, radius = rng.uniform([10, 10, 6], [38, 38, 18]), rng.uniform(3, 8, 3)
            blob = sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radius, strict=True)) <= 1
            hu[blob] += np.int16(rng.integers(20, 120))
            labels.append(blob.astype(np.uint8))
        making = folder / f".making-{case}"
        (making / "segmentations").mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(hu, affine), making / "ct.nii.gz")
        for name, mask in zip(NAMES, labels, strict=True):
            nibabel.save(nibabel.Nifti1Image(mask, affine), making / "segmentations" / f"{name}.nii.gz")
        making.rename(path)
    return folder


def some_of(source: Path, target: Path, number: int) -> Path:
    """A folder with links to the first cases of a data set."""
    target.mkdir(parents=True)
    for case in sorted(p for p in source.iterdir() if p.is_dir())[:number]:
        (target / case.name).symlink_to(case.resolve())
    return target


def real_cases(scratch: Path, number: int) -> Path:
    """OpenKBP's first patients, or generated cases where it is absent."""
    if SHARED.is_dir():
        return some_of(SHARED, scratch / "real", number)
    return synthetic_cases(scratch / "real", number)


def tables_of(folder: Path) -> dict[str, bytes]:
    """The tables' bytes by name."""
    return {name: (folder / name).read_bytes() for name in TABLES}


def audit_command(data: Path, out: Path, *more) -> list[str]:
    """The command line of an audit, whose last line tells its peak memory."""
    words = [sys.executable, "-c", WATCHED, "audit", data, "--out", out, "--quiet", "--no-report", "--device", "cpu"]
    return [str(word) for word in (*words, *more)]


# -- sections ---------------------------------------------------------------------------------------------------------


def throughput(scratch: Path, options: argparse.Namespace) -> dict:
    """Seconds per case: ``audit``; one process case by case, with all that ``score`` writes, and with tables only;
    and the command ``score`` for each case."""
    from QualitySentinelLib.checkpoint import load_model
    from QualitySentinelLib.scorer import Scorer

    data = find_cases(real_cases(scratch, options.real))
    scorer = Scorer(load_model("bundled"), device="cpu")
    one_by_one(data, data.cases[:1], scorer, scratch, reports=True)  # warms up
    started = time.perf_counter()
    outcome = run_audit(data.root, scratch / "audit", options=AuditOptions(workers=options.workers))
    audited = (time.perf_counter() - started) / len(data.cases)
    result = {"cases": len(data.cases), "workers": outcome.workers, "scoring_share": outcome.scoring_share}
    result["audit"] = audited
    result["one_by_one_with_reports"] = one_by_one(data, data.cases, scorer, scratch, reports=True)
    result["one_by_one_tables_only"] = one_by_one(data, data.cases, scorer, scratch, reports=False)
    some = data.cases[:3]
    started = time.perf_counter()
    for case in some:
        words = [sys.executable, "-m", "QualitySentinelLib", "score", "--ct", data.root / case.ct, "--seg"]
        words += [data.root / case.seg, "--out", scratch / "score", "--quiet", "--device", "cpu"]
        words += ["--names", case.names] if isinstance(case.names, str) else []
        subprocess.run([str(w) for w in words], check=True, capture_output=True)
    result["commands"] = (time.perf_counter() - started) / len(some)
    print(f"{len(data.cases)} cases ({data.layout}), {outcome.workers} workers, seconds a case (the start included):")
    print(f"audit {audited:.2f}; workers scored {outcome.scoring_share:.2f} of their time")
    for name, what in (
        ("one_by_one_with_reports", "one process, case by case, all files of score"),
        ("one_by_one_tables_only", "one process, case by case, tables only"),
        ("commands", "the command score for each case"),
    ):
        print(f"{what}: {result[name]:.2f}, that is {result[name] / audited:.2f} times as long")
    return result


def one_by_one(data, cases, scorer, scratch: Path, reports: bool) -> float:
    """Seconds per case of reading, scoring and writing one after the other, the model loaded before, all threads."""
    from QualitySentinelLib.report import write_results

    started = time.perf_counter()
    for case in cases:
        ct, segmentation = read_case(case)
        score = scorer.score(ct, segmentation)
        if reports:
            inputs = {"ct": data.root / case.ct, "seg": data.root / case.seg}
            write_results(scratch / "one" / case.name, score, ct, segmentation, inputs=inputs)
        else:
            rows = segment_records(score, segmentation, Deidentifier(case, data.root))
            atomic_write(scratch / "one" / f"{case.name}.json", json.dumps(rows))
    return (time.perf_counter() - started) / len(cases)


def memory(scratch: Path, options: argparse.Namespace) -> dict:
    """Peak memory of the main process and of the largest worker, at a tenth of the cases and at all."""
    cases = synthetic_cases(scratch / "synthetic", options.cases)
    result = {}
    for number in (max(1, options.cases // 10), options.cases):
        data, out = some_of(cases, scratch / f"memory_{number}", number), scratch / f"memory_out_{number}"
        started = time.perf_counter()
        more = ["--workers", options.workers] if options.workers else []
        done = subprocess.run(audit_command(data, out, *more), stdout=subprocess.PIPE, text=True, check=True)
        seconds = time.perf_counter() - started
        own, worker = json.loads(done.stdout.splitlines()[-1])
        result[number] = {"main_mib": own, "worker_mib": worker, "seconds": seconds}
        print(
            f"{number} cases: main process {own:.0f} MiB, largest worker {worker:.0f} MiB, {seconds:.1f} s", flush=True
        )
    return result


def kills(scratch: Path, options: argparse.Namespace) -> dict:
    """Whether the tables are the same, byte for byte, after kills at random moments."""
    number = min(options.cases, 60 if options.quick else 400)
    data = some_of(synthetic_cases(scratch / "synthetic", number), scratch / "kills", number)
    started = time.perf_counter()
    subprocess.run(audit_command(data, scratch / "kills_whole"), check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    out, rng, at = scratch / "kills_out", random.Random(0), []
    for _ in range(options.kills):
        process = subprocess.Popen(audit_command(data, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = finished(out)
        while finished(out) == before and process.poll() is None and rng.random() > 0.0005:
            time.sleep(0.01)  # mostly until it has begun, now and then before
        time.sleep(rng.uniform(0, 1.2 * seconds / options.kills / 2))
        process.kill()
        process.wait()
        at.append(finished(out))
        print(f"killed with {at[-1]} of {number} cases", flush=True)
    subprocess.run(audit_command(data, out), check=True, stdout=subprocess.DEVNULL)
    same = tables_of(out) == tables_of(scratch / "kills_whole")
    print(f"{len(at)} kills; tables byte-equal to those of one run: {same}")
    if not same:
        raise SystemExit("the tables differ")
    return {"cases": number, "kills": len(at), "cases_at_kills": at, "equal": same}


def finished(out: Path) -> int:
    """Records in an audit's folder."""
    return sum(1 for _ in (out / "cases").glob("[!.]*.jsonl"))


def ray(scratch: Path, options: argparse.Namespace) -> dict:
    """Whether both engines write the same tables, and their seconds."""
    number = min(options.cases, 20 if options.quick else 200)
    data = some_of(synthetic_cases(scratch / "synthetic", number), scratch / "ray", number)
    seconds = {}
    for engine in ("local", "ray"):
        started = time.perf_counter()
        command = audit_command(data, scratch / f"ray_{engine}", "--engine", engine)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds[engine] = time.perf_counter() - started
    same = tables_of(scratch / "ray_local") == tables_of(scratch / "ray_ray")
    print(f"{number} cases: local {seconds['local']:.1f} s, Ray {seconds['ray']:.1f} s; tables byte-equal: {same}")
    if not same:
        raise SystemExit("the tables differ")
    return {"cases": number, "seconds": seconds, "equal": same}


SECTIONS = {"throughput": throughput, "memory": memory, "kills": kills, "ray": ray}

if __name__ == "__main__":
    main()
