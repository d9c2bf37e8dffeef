"""Label errors of a data set, found voxel by voxel: a run over its cases, in two passes.

Layout of the folder::

    segmenters/                networks and their out-of-fold probabilities, unless others are given
    pixels/                    the voxels looked at, a file per case: the first pass, read many times over
    errors/CASE.nii.gz         0, or 1 wrongly included, 2 missing, 3 another structure; on the CT's grid
    corrected/CASE.nii.gz      the given labels with the suggested corrections, and labels.json
    corrected.csv              a manifest of these: a data set that every command reads
    scores/CASE.json           label quality as the score of a case, in the form of report.json
    label_errors.csv           counts and label quality of each structure of each case, and of each case
    report.html
    audit/                     of label quality, by the command
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
from tqdm import tqdm

from QualitySentinelLib.datasets import Case, DataSet, fingerprint
from QualitySentinelLib.errors import InputError
from QualitySentinelLib.files import atomic_write
from QualitySentinelLib.scores import CaseScore, software_versions, write_report_json

from ..pages import write_table
from ..runs import Kind, Result, Run, Work
from ..segmentation.folds import out_of_fold, write_label_map
from ..segmentation.label_quality import soft_minimum, structure_quality
from ..segmentation.options import SegmentationOptions
from ..segmentation.probabilities import probability_files, write_names
from ..subjects import check_names, subject_sources
from .confident import ConfidentJoint, ErrorFinder, confident_joint
from .options import FindOptions
from .pixels import Labeled, band, blocks, read_labeled, refuse_in_sample, write_pixels
from .quality import case_score
from .report import share_wrong, write_tables

_PIXELS = Kind("label-pixels", "quality-sentinel-label-pixels/1", "case")
_MAPS = Kind("label-errors", "quality-sentinel-label-errors/1", "case", ("label_errors.csv", "report.html"))


@dataclass
class LabelErrors:
    """What was found."""

    classes: tuple[str, ...]  # the background first
    joint: ConfidentJoint  # of the voxels looked at
    rows: list[list] = field(default_factory=list)  # of ``label_errors.csv``, see ``report.COLUMNS``
    failed: dict[str, str] = field(default_factory=dict)  # cases left out, with the reason


def find_errors(
    data: DataSet, out: Path, options: FindOptions | None = None, networks: SegmentationOptions | None = None,
    probabilities: Path | None = None, device: str = "auto", jobs: int = 1, say: Callable[[str], None] = print,
) -> LabelErrors:  # fmt: skip
    """Find the label errors of a data set; see the module's description. The same call resumes.

    Args:
        networks: to be trained out-of-fold, where no probabilities are given.
        probabilities: a folder of them, see :func:`~..segmentation.probabilities.probability_files`.
        say: told of cases that are left out, and of what is done again.

    Raises:
        UsageError: networks trained on the same patients made the probabilities, there are fewer patients than folds,
            or ``out`` was made otherwise.
        ModelError: there is no such device.
        InputError: no case can be read, the cases' probabilities are of different classes, or of a class that no case
            has, or the labels are of one class only.
    """
    options = options or FindOptions()
    sources = subject_sources(data)
    check_names(sources)
    cases = {case.name.rpartition("/")[2]: case for case in data.cases if not case.problem}
    place = data.name if data.hidden else str(data.root)
    origin = "segmenters" if probabilities is None else str(probabilities.resolve())
    key = {"band_mm": options.band_mm, "probabilities": origin, "layout": data.layout, "data": place}
    run, gathering = Run(out, _MAPS, {"key": key}), Run(out / "pixels", _PIXELS, {"key": key})
    run.check()  # before networks are trained
    if probabilities is None:
        files = out_of_fold(sources, out / "segmenters", networks, device, say, jobs)
    else:
        refuse_in_sample(probabilities, {source.name: source.patient for source in sources})
        files = probability_files(probabilities)
    with gathering as gathered, run:
        items = [_Item(s.name, cases[s.name], files.get(s.name, Path(origin) / f"{s.name}.npz"), out) for s in sources]

        def carry_out(run: Run, items: Sequence[_Item], work: Work) -> None:
            done = run.work(items, work, workers=jobs, retry_failed=True)
            for one in tqdm(done, run.kind.name, len(items), disable=None, unit="case"):
                if one.failed:
                    say(f"{one.head['reason']}; {one.head['item']} is left out")

        carry_out(gathered, items, _Gather(options.band_mm))
        sound = [item for item in items if item.name not in gathered.failed]
        if not sound:
            raise InputError(next(iter(gathered.failed.values())))
        classes = _agreed_classes(gathered, sound)
        paths = [item.pixels for item in sound]
        unseen = {item.name: gathered.head(item.name).get("unseen", ()) for item in sound}
        for name, structures in unseen.items():
            if structures:
                say(
                    f"{name}: labels of {', '.join(structures)} are not judged: the network never saw any (probability "
                    "0 everywhere); use more folds, so that patients with them are in two"
                )
        joint = confident_joint(lambda: blocks(paths), len(classes))
        known = set().union(*unseen.values())
        if unused := [n for n, count in zip(classes, joint.label_counts, strict=True) if not count and n not in known]:
            raise InputError(
                f"{sound[0].probabilities.parent}: has the class '{unused[0]}', which the labels of no case have; give "
                "probabilities of networks trained on these labels"
            )
        flagged = ErrorFinder(lambda: blocks(paths), joint, options.method).flags(blocks(paths))
        carry_out(run, [replace(item, digest=_keep_flags(item, flagged)) for item in sound], _Map())
        found = LabelErrors(classes, joint, failed={**gathered.failed, **run.failed})
        kept = [item for item in sound if item.name not in run.failed]
        found.rows = [row for item in kept for row in run.record(item.name).lines]
        write_tables(out, data.name, found.rows, classes, joint, options.method)
        if not data.hidden:  # its paths may name patients
            write_table(out / "corrected.csv", ("case", "ct", "seg", "names", "patient_id"), (
                (i.name, i.case.root / i.case.ct, f"corrected/{i.name}.nii.gz", "corrected/labels.json", i.case.patient)
                for i in kept
            ))  # fmt: skip
        run.finish(method=options.method, versions=software_versions(), failed=len(found.failed))
    return found


@dataclass(frozen=True)
class _Item:
    """A case; in the second pass with the digest of its flags."""

    name: str
    case: Case
    probabilities: Path
    out: Path
    digest: str = ""

    @property
    def pixels(self) -> Path:
        return self.out / "pixels" / f"{self.name}.npy"

    @property
    def flags(self) -> Path:
        """Packed bits, one for each of the voxels looked at."""
        return self.pixels.with_suffix(".flags.npy")

    @property
    def inputs(self) -> str:
        try:
            status = self.probabilities.stat()
        except OSError:
            return ""
        return f"{fingerprint(self.case)} {status.st_size} {status.st_mtime_ns} {self.digest}".rstrip()


@dataclass
class _Gather(Work):
    """The first pass: the voxels that are looked at."""

    band_mm: float

    def fingerprint(self, item: _Item) -> str:
        return item.inputs

    def do(self, item: _Item, data: _Item) -> Result:
        labeled = read_labeled(item.case, item.probabilities)
        chosen = None
        if self.band_mm:
            chosen = band(labeled.labels, labeled.likeliest, labeled.ct.frame.spacing, self.band_mm)
        if labeled.unseen:
            chosen = labeled.judged if chosen is None else chosen & labeled.judged
        write_pixels(item.pixels, labeled, chosen)
        return Result({"classes": labeled.classes, "unseen": labeled.unseen}, files={item.pixels.name: item.pixels})


class _Map(Work):
    """The second pass: maps, counts and label quality."""

    def fingerprint(self, item: _Item) -> str:
        return item.inputs

    def do(self, item: _Item, data: _Item) -> Result:
        labeled = read_labeled(item.case, item.probabilities)
        rows = np.load(item.pixels, mmap_mode="r")
        wrong = rows[np.flatnonzero(np.unpackbits(np.load(item.flags), count=len(rows)))]
        corrected = labeled.labels.copy()
        corrected.ravel()[wrong["voxel"]] = wrong["p"].astype(np.float32).argmax(axis=1)
        name = item.name
        files = {f"{folder}/{name}.nii.gz": item.out / folder / f"{name}.nii.gz" for folder in ("errors", "corrected")}
        for path, values in zip(files.values(), (error_map(labeled.labels, corrected), corrected), strict=True):
            write_label_map(path, values, labeled.ct.frame)
        if not (item.out / "corrected" / "labels.json").is_file():
            write_names(item.out / "corrected", labeled.classes)
        lines, score = _measured(item.name, labeled, corrected)
        path = files[f"scores/{name}.json"] = item.out / "scores" / f"{name}.json"
        write_report_json(path, score)
        return Result(lines=lines, files=files)


def error_map(labels: np.ndarray, corrected: np.ndarray) -> np.ndarray:
    """Where labels are wrong, uint8 of their shape: 1 wrongly included, 2 missing, 3 another structure, else 0."""
    return np.where(labels == corrected, 0, (labels > 0) + 2 * (corrected > 0)).astype(np.uint8)


def _measured(name: str, labeled: Labeled, corrected: np.ndarray) -> tuple[list[list], CaseScore]:
    """The case's rows of the table, the case itself first, and its score."""
    likeliest, rows, qualities, missing = labeled.likeliest, [], {}, {}
    wrong = labeled.labels != corrected
    for number, structure in enumerate(labeled.classes[1:], start=1):
        given = labeled.labels == number
        if structure in labeled.unseen or not given.any():
            continue
        quality, slices = structure_quality(given, likeliest == number, labeled.probabilities[number])
        extra, lacking = wrong & given, wrong & (corrected == number)
        qualities[structure], missing[structure] = slices, set(np.flatnonzero(lacking.any(axis=(1, 2))).tolist())
        worst = min(slices, key=slices.get)
        rows.append([
            name, structure, *_counts(given, extra, lacking), quality, labeled.ct.frame.file_slice(worst)
        ])  # fmt: skip
    judged = labeled.judged
    shown = ((labeled.labels > 0) | (likeliest > 0)) & judged
    own = np.take_along_axis(labeled.probabilities, labeled.labels[None].astype(np.intp), axis=0)[0][shown]
    given, lacking = (labeled.labels > 0) & judged, wrong & (labeled.labels == 0)
    worst = min(rows, key=lambda row: row[-2])[-1] if rows else None
    whole = [name, "", *_counts(given, wrong & given, lacking), soft_minimum(own), worst]
    return [whole, *rows], case_score(labeled, qualities, missing)


def _counts(given: np.ndarray, extra: np.ndarray, lacking: np.ndarray) -> list:
    voxels, out, gone = (int(part.sum()) for part in (given, extra, lacking))
    return [voxels, out, gone, share_wrong(voxels, out, gone), int((extra | lacking).any(axis=(1, 2)).sum())]


def _agreed_classes(run: Run, items: Sequence[_Item]) -> tuple[str, ...]:
    heads = {item.name: tuple((run.head(item.name) or {})["classes"]) for item in items}
    first = heads[items[0].name]
    for name, classes in heads.items():
        if classes != first:
            raise InputError(
                f"{name}: its probabilities are of {', '.join(classes)}, those of {items[0].name} of "
                f"{', '.join(first)}; give one folder with the same classes in the same order"
            )
    return first


def _keep_flags(item: _Item, flagged: Iterator[np.ndarray]) -> str:
    """Keep the flags of a case's voxels; ``flagged`` gives those of its blocks next. Their digest."""
    parts, left = [np.zeros(0, bool)], len(np.load(item.pixels, mmap_mode="r"))
    while left:
        parts.append(next(flagged))
        left -= len(parts[-1])
    packed = np.packbits(np.concatenate(parts))
    atomic_write(item.flags, lambda temporary: np.save(temporary, packed))
    return blake2b(packed.tobytes(), digest_size=16).hexdigest()
