"""Students: networks trained on labels with errors: as given, corrected, without the worst slices, or weighed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.reading.volume_file import read_image
from QualitySentinelLib.scores import read_report_json

from ..segmentation.probabilities import names_beside
from ..subjects import Subject, SubjectSource
from .options import StudentOptions


def student_sources(
    sources: Iterable[SubjectSource], errors: Path | None, options: StudentOptions | None = None
) -> list[SubjectSource]:
    """The subjects with what a student learns; give them to ``segmentation.train``.

    Soft labels are those of the published loss: where an error was found, the label that was given has probability
    ``1 - epsilon``, and the suggested one ``epsilon``. A network learns from the one or the other so often. The
    published loss overwrites its labels in place: with epsilon 1 a missing voxel is added, and then taken away again.

    Args:
        errors: the folder of ``find_errors``; labels as given and ``pick-and-learn`` need none.

    Raises:
        InputError: ``errors`` holds no results of these subjects.
    """
    options, sources = options or StudentOptions(), list(sources)
    if options.labels == "given":
        return sources
    if options.labels != "pick-and-learn" and not (errors and (errors / "label_errors.csv").is_file()):
        raise InputError(f"{errors}: holds no results of find-errors; give the folder that it wrote")
    lowest = _lowest_slices(sources, errors, options.dropped) if options.labels == "picked" else {}
    return [
        replace(source, read=_Student(source, errors, options, lowest.get(source.name, frozenset())))
        for source in sources
    ]


@dataclass(frozen=True)
class _Student:
    source: SubjectSource
    errors: Path | None
    options: StudentOptions
    lowest: frozenset[tuple[str, int]]

    def __call__(self) -> Subject:
        subject = self.source.read()
        if self.options.labels == "pick-and-learn" or self.errors is None:
            return replace(subject, doubted=True)
        if self.options.labels == "picked":
            trust = {value: np.ones(len(subject.labels)) for value in subject.structures}
            for value, structure in subject.structures.items():
                trust[value][[k for name, k in self.lowest if name == structure]] = 0.0
            return replace(subject, trust=trust)
        path = self.errors / "corrected" / f"{subject.name}.nii.gz"
        values = {name: value for value, name in subject.structures.items()}
        suggested = subject.ct.frame.to_canonical(read_image(path, "corrected labels").voxels)
        table = np.zeros(256, subject.labels.dtype)
        for number, name in enumerate(names_beside(path, int(suggested.max()) + 1)):
            table[number] = values.get(name, 0)
        corrected = table[suggested]
        if self.options.published and self.options.epsilon == 1.0:
            corrected = np.where(subject.labels == 0, 0, corrected)
        return replace(subject, corrected=(corrected, self.options.epsilon))


def _lowest_slices(sources: list[SubjectSource], errors: Path, share: float) -> dict[str, frozenset[tuple[str, int]]]:
    """Structure and canonical k of the slices of the lowest label quality, a share of each structure's, by subject."""
    found: dict[str, list[tuple[float, str, int]]] = {}
    for source in sources:
        for segment in read_report_json(errors / "scores" / f"{source.name}.json").segments:
            rows = found.setdefault(segment.structure or "", [])
            rows += [(one.predicted_dsc, source.name, one.k) for one in segment.slices]
    lowest: dict[str, set[tuple[str, int]]] = {}
    for structure, rows in found.items():
        for _, name, k in sorted(rows)[: int(share * len(rows))]:
            lowest.setdefault(name, set()).add((structure, k))
    return {name: frozenset(slices) for name, slices in lowest.items()}
