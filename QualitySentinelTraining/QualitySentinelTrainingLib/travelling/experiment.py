"""An experiment in multi-center training: its options, its samples, and the model that travels."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from QualitySentinelLib.datasets import Case, find_cases, read_case_ct
from QualitySentinelLib.datasets.table import UNKNOWN
from QualitySentinelLib.errors import InputError, QualitySentinelError, UsageError
from QualitySentinelLib.files import sha256_of

from ..option_files import Doc, NonNegativeInt, Options, PositiveInt
from ..subjects import Subject, read_subject
from .harms import harm_named, harmed
from .models import OWN_LOSS, ClassificationModel, NetworkOptions, SegmentationModel, TravellingModel
from .protocol import TravelOptions
from .sites import SPLITS, TEST, TRAIN, VERIFICATION


@dataclass(frozen=True)
class Signal(Options):
    """A table of what is suspicious before any training, such as one of label errors."""

    table: Annotated[Path, Doc("CSV with a row per case")]
    column: Annotated[str, Doc("its column of numbers")]
    low_is_bad: Annotated[bool, Doc("whether low numbers are suspicious")] = True


@dataclass(frozen=True)
class Experiment(Options):
    """What ``travel`` reads from EXPERIMENT.toml."""

    data: Annotated[Path, Doc("data set: a folder, or the CSV file of a manifest")]
    sites: Annotated[Path | None, Doc("table of split-sites or harm; without it, all cases are one center's")] = None
    layout: Annotated[str | None, Doc("layout of the data set; detected by default")] = None
    names: Annotated[str | None, Doc("meaning of the values of label maps")] = None
    patient: Annotated[str | None, Doc("regular expression whose first group is the patient")] = None
    task: Annotated[Literal["segmentation", "classification"], Doc("what is learned")] = "segmentation"
    label: Annotated[str, Doc("metadata column of the class, classification only")] = "label"
    positive: Annotated[str, Doc("value of that column in positives")] = "1"
    structures: Annotated[tuple[str, ...], Doc("to segment; by default those of the verification set")] = ()
    verify_by: Annotated[
        Literal["dsc", "structures", "loss", "rates"] | None,
        Doc("what must not get worse: mean DSC, DSC of each structure, loss, or false-positive and -negative rates"),
    ] = None
    published: Annotated[bool, Doc("as published: denominators swapped, no limit on drift, no trials")] = False
    start: Annotated[Path | None, Doc("weights to start from, .safetensors; by default drawn")] = None
    clean_cycles: Annotated[NonNegativeInt, Doc("cycles without harmful samples that come first, as published")] = 0
    baselines: Annotated[bool, Doc("also train without harmful samples, and with all, unguarded; core only")] = True
    quality: Annotated[bool, Doc("predict the DSC of the sites' masks before training")] = False
    signals: Annotated[tuple[Signal, ...], Doc("tables of what is suspicious before training")] = ()
    suspects: Annotated[
        Literal["train", "revisit"], Doc("train on suspicious samples like on others, or first leave them out")
    ] = "train"
    engine: Annotated[Literal["core", "simulator", "poc"], Doc("this process, or NVFlare")] = "core"
    answer_within: Annotated[PositiveInt, Doc("seconds; a site that takes longer is passed over; NVFlare only")] = 600
    travel: Annotated[TravelOptions, Doc("how the model travels")] = field(default_factory=TravelOptions)
    network: Annotated[NetworkOptions, Doc("the network that travels")] = field(default_factory=NetworkOptions)

    @property
    def travel_options(self) -> TravelOptions:
        """How the model travels, as published where that is wanted."""
        return replace(self.travel, drift=None, relative=False, trial_steps=0) if self.published else self.travel

    def key(self) -> dict:
        """What two runs into one folder must share, plain JSON. More cycles may be added later."""
        told = asdict(self)
        for name in ("data", "sites", "start", "signals", "baselines", "engine", "answer_within", "layout", "names"):
            del told[name]
        del told["travel"]["cycles"]
        tables = {"sites": self.sites, "start": self.start}
        digests = {name: sha256_of(path) if path and path.is_file() else "" for name, path in tables.items()}
        flat = {f"{k}.{n}": v for k in ("travel", "network") for n, v in told.pop(k).items()}
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in (told | flat).items()}
        return plain | digests | {"signals": len(self.signals)}


@dataclass(frozen=True)
class Sample:
    """A case at a center, not yet read."""

    case: Case
    center: str  # where it is; empty for verification and test
    split: str  # one of ``sites.SPLITS``
    harm: str  # what is wrong with it; empty: nothing that we know of
    positive: bool | None  # its class, classification only

    @property
    def name(self) -> str:
        return self.case.name

    def read(self) -> Subject:
        """The sample, with its harm done to it; a ``QualitySentinelError`` where it cannot be read."""
        if self.positive is None:
            return harmed(read_subject(self.case), self.harm)
        ct = read_case_ct(self.case)
        return harmed(Subject(self.name, ct, np.zeros(ct.frame.shape, np.uint8), {}), self.harm)

    @property
    def label(self) -> bool | None:
        """Its class as the center believes it to be."""
        wrong = bool(self.harm) and harm_named(self.harm).wrong_label
        return None if self.positive is None else self.positive != wrong


def samples_of(experiment: Experiment) -> list[Sample]:
    """All samples, sorted by name; images are not opened.

    Raises:
        InputError, UsageError: as ``find_cases`` does; a row makes no sense, or a patient is in two splits.
    """
    found = find_cases(
        experiment.data, experiment.layout, metadata=experiment.sites, names=experiment.names,
        patient=experiment.patient, keep_identifiers=True,
    )  # fmt: skip
    samples, lost = [], [case for case in found.cases if case.problem]
    for case in found.cases:
        split, harm = case.split if experiment.sites else TRAIN, case.metadata.get("harm", "")
        if case.problem or not split:
            continue  # not in the table
        if split not in SPLITS:
            raise InputError(f"{experiment.sites}: case {case.name} has split '{split}'; give {', '.join(SPLITS)}")
        positive = None
        if experiment.task == "classification":
            told = case.metadata.get(experiment.label, "")
            if told.lower() in UNKNOWN:
                raise InputError(f"case {case.name}: has no '{experiment.label}'; fill in the column, or name another")
            positive = told == experiment.positive
            if harm and harm_named(harm).masks:
                raise UsageError(f"case {case.name}: '{harm}' does nothing where a whole CT has one label")
        samples.append(Sample(case, case.site if split == TRAIN else "", split, harm, positive))
    for case in lost[:1]:
        print(f"note: {len(lost)} cases are left out ({case.name}: {case.problem})", file=sys.stderr)
    of_patient: dict[str, str] = {}
    for sample in samples:
        if (before := of_patient.setdefault(sample.case.patient or sample.name, sample.split)) != sample.split:
            raise InputError(
                f"{experiment.sites}: patient {sample.case.patient} is in {before} and {sample.split}; patients must "
                "not be split"
            )
    return samples


def centers_of(samples: Iterable[Sample]) -> dict[str, list[str]]:
    """Names of the samples of each center."""
    centers: dict[str, list[str]] = {}
    for sample in samples:
        if sample.split == TRAIN:
            centers.setdefault(sample.center or "center", []).append(sample.name)
    return centers


class Server:
    """What the server has: the model, the verification set and the test set.

    Raises:
        InputError: there is no verification or test set, or nothing of it can be read.
    """

    def __init__(self, experiment: Experiment, samples: Iterable[Sample]) -> None:
        held = {split: [s for s in samples if s.split == split] for split in (VERIFICATION, TEST)}
        for split, some in held.items():
            if not some:
                raise InputError(f"{experiment.sites}: has no {split} samples; write the table with split-sites")
        classes = experiment.structures
        if experiment.task == "segmentation" and not classes:
            subjects = [subject for sample in held[VERIFICATION] if (subject := _readable(sample))]
            classes = tuple(sorted({name for subject in subjects for name in subject.structures.values()}))
        self.classes = tuple(classes)
        self.model = new_model(experiment, classes)
        self.state, self.restore = self.model.state, self.model.restore
        self.verification = list(looks_of(self.model, held[VERIFICATION]).values())
        self.test = looks_of(self.model, held[TEST])
        self.samples = {sample.name: sample for sample in held[TEST]}
        if not self.verification or not self.test:
            raise InputError(f"{experiment.data}: the verification or test set cannot be read")

    def verify(self) -> Any:
        return self.model.errors(self.verification)

    def expected(self) -> dict[str, float]:
        """The highest loss of a verification sample."""
        return {OWN_LOSS: max(self.model.loss([look]) for look in self.verification)}

    def figures(self) -> list[dict]:
        return [{"case": name, **self.model.figures(look)} for name, look in self.test.items()]


class LocalLearner(Server):
    """A server that has the samples of all centers, too: everything in one process."""

    def __init__(self, experiment: Experiment, samples: Iterable[Sample]) -> None:
        super().__init__(experiment, samples)
        self.looks = looks_of(self.model, [s for s in samples if s.split == TRAIN])

    def train(self, center: str, samples: Iterable[str], steps: int = 0) -> dict[str, float]:
        return self.model.update([self.looks[name] for name in samples], steps)


def new_model(experiment: Experiment, classes: Iterable[str]) -> TravellingModel:
    """The model before any training; a ``UsageError`` where options do not fit each other."""
    classify = experiment.task == "classification"
    by = experiment.verify_by or ("rates" if classify else "dsc")
    if by not in (("rates", "loss") if classify else ("dsc", "structures", "loss")):
        raise UsageError(f"verify_by '{by}' does not fit {experiment.task}")
    if classify:
        return ClassificationModel(experiment.network, by, experiment.published)
    return SegmentationModel(experiment.network, ("background", *(c for c in classes if c != "background")), by)


def looks_of(model: TravellingModel, samples: Iterable[Sample]) -> dict[str, Any]:
    """What the model sees of each sample; those that cannot be read are named on stderr and left out."""
    looks = {}
    for sample in samples:
        try:
            looks[sample.name] = model.look(sample.read(), sample.label)
        except QualitySentinelError as error:
            print(f"skipped: {sample.name}: {error}", file=sys.stderr)
    return looks


def _readable(sample: Sample) -> Subject | None:
    try:
        return sample.read()
    except QualitySentinelError:
        return None  # looks_of says so


def headline(figures: Iterable[Mapping[str, Any]]) -> float:
    """One number of how good a model is on test samples: accuracy, or mean DSC on the slices looked at."""
    rows = [{k: v for k, v in row.items() if k != "case" and v is not None} for row in figures]
    if rows and "positive" in rows[0]:
        values = [(row["probability"] > 0.5) == bool(row["positive"]) for row in rows if "probability" in row]
    else:
        values = [v for row in rows for v in row.values()]
    return float(np.mean(values)) if values else float("nan")
