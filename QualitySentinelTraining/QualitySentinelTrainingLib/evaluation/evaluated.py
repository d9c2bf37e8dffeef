"""The evaluation table: what is known of every slice of every candidate mask, and what a model predicted for it."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.files import atomic_write
from QualitySentinelLib.scores import SegmentScore, SliceScore, Status
from QualitySentinelLib.scores.aggregation import DEFAULT_AGGREGATION, aggregate

_TYPES = {"f": np.float32, "i": np.int32, "b": bool}


@dataclass
class Evaluated:
    """Slices of candidate masks of subjects that the model never saw, one row each, all arrays [N].

    Rows with ``area`` > 0 are slices that hold mask voxels; rows with ``area`` 0 are empty slices offered as possibly
    missed. A mask's rows must be complete (every slice it has voxels in, and no or all empty slices that inference
    would offer) for its segment's figures to mean anything.

    Attributes:
        dsc: true DSC of the whole slice, 0..1 (1 where mask and reference are both empty).
        predicted: the model's, clamped to 0..1.
        structure, kind, origin, subject, source, person: text; ``kind`` names errors joined by " + ".
        stage: epoch of the network that made the mask, -1 where there is none.
        mask: number of the candidate mask, unique within the subject, as the subject is within the source.
        k: canonical slice index.
        area, reference_area: voxels in the slice.
        nearest_area: mask voxels of the nearest masked slice; of masked slices their own.
        volume_dsc: true volumetric DSC of the whole candidate.
        gap_mm: distance of an empty slice to the nearest masked one, mm; 0 for masked slices.
        inner: an empty slice with masked slices on both sides.
        voxel_mm3, pixel_mm: size of a CT voxel, and of a pixel of the network's input, mm.
    """

    dsc: np.ndarray
    predicted: np.ndarray
    structure: np.ndarray
    kind: np.ndarray
    origin: np.ndarray
    subject: np.ndarray
    source: np.ndarray
    person: np.ndarray
    stage: np.ndarray
    mask: np.ndarray
    k: np.ndarray
    area: np.ndarray
    reference_area: np.ndarray
    nearest_area: np.ndarray
    volume_dsc: np.ndarray
    gap_mm: np.ndarray
    inner: np.ndarray
    voxel_mm3: np.ndarray
    pixel_mm: np.ndarray

    _KINDS = {
        "dsc": "f", "predicted": "f", "structure": "s", "kind": "s", "origin": "s", "subject": "s", "source": "s",
        "person": "s", "stage": "i", "mask": "i", "k": "i", "area": "i", "reference_area": "i", "nearest_area": "i",
        "volume_dsc": "f", "gap_mm": "f", "inner": "b", "voxel_mm3": "f", "pixel_mm": "f",
    }  # fmt: skip

    def __post_init__(self) -> None:
        for name, kind in self._KINDS.items():
            values = np.asarray(getattr(self, name))
            setattr(self, name, values.astype(str) if kind == "s" else values.astype(_TYPES[kind]))
        self.predicted = np.clip(self.predicted, 0.0, 1.0)
        lengths = {len(getattr(self, name)) for name in self._KINDS}
        if len(lengths) > 1:
            raise ValueError(f"columns of unequal length: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.dsc)

    @classmethod
    def of(cls, pairs, predicted: np.ndarray) -> Evaluated:
        """The columns of ``pairs`` (anything that has them as attributes) with a model's predictions for them.

        Args:
            predicted: [N]; clamped to 0..1.
        """
        return cls(predicted=predicted, **{name: getattr(pairs, name) for name in cls._KINDS if name != "predicted"})

    @classmethod
    def concatenate(cls, parts: Sequence[Evaluated]) -> Evaluated:
        """All rows of ``parts``, in order; an empty table for none."""
        return cls(**{n: np.concatenate([getattr(p, n) for p in parts]) if parts else [] for n in cls._KINDS})

    @classmethod
    def read_all(cls, paths: Sequence[Path]) -> tuple[Evaluated, list[str]]:
        """Several tables as one, and the subjects of which a later table's rows were left out.

        Models of several folds have all scored those subjects that none was trained on. Their masks bear the same
        numbers in each table, so the slices of all models would pass for those of one mask: the first table counts.

        Raises:
            InputError: as :meth:`read`.
        """
        parts, taken, twice = [], set(), set()
        for path in paths:
            table = cls.read(path)
            subjects = list(zip(table.source.tolist(), table.subject.tolist(), strict=True))
            own = set(subjects)
            parts.append(table.take(np.array([one not in taken for one in subjects], bool)) if taken & own else table)
            twice |= taken & own
            taken |= own
        return cls.concatenate(parts), sorted(subject for _, subject in twice)

    def take(self, rows: np.ndarray) -> Evaluated:
        """The rows at ``rows`` (numbers or booleans)."""
        return Evaluated(**{name: getattr(self, name)[rows] for name in self._KINDS})

    @property
    def masked(self) -> Evaluated:
        """The slices that hold mask voxels."""
        return self.take(self.area > 0)

    @property
    def empty(self) -> Evaluated:
        """The empty slices offered as possibly missed."""
        return self.take(self.area == 0)

    def write(self, path: Path) -> Path:
        """Write as CSV, whole, and give the path; gzip-compressed when the name ends in ``.gz``.

        Raises:
            InputError: it cannot be written.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self._KINDS)
        formats: dict[str, Callable] = {"f": lambda v: f"{v:.9g}", "i": str, "s": str, "b": lambda v: "1" if v else "0"}
        columns = [[formats[kind](v) for v in getattr(self, name).tolist()] for name, kind in self._KINDS.items()]
        writer.writerows(zip(*columns, strict=True))
        content = text.getvalue().encode()
        return atomic_write(path, gzip.compress(content, 6, mtime=0) if str(path).endswith(".gz") else content)

    @classmethod
    def read(cls, path: Path) -> Evaluated:
        """Read what :meth:`write` wrote.

        Raises:
            InputError: there is no such file, it is damaged, or it is another table.
        """
        try:
            content = Path(path).read_bytes()
            content = gzip.decompress(content) if str(path).endswith(".gz") else content
            header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
            if not set(cls._KINDS) <= set(header):
                missing = ", ".join(sorted(set(cls._KINDS) - set(header)))
                raise InputError(f"{path}: not an evaluation table (no column {missing}); run evaluate again")
            cells = dict(zip(header, zip(*rows, strict=True) if rows else [()] * len(header), strict=True))
            read = {"f": np.float32, "i": np.int32, "b": np.int32, "s": str}
            return cls(**{name: np.array(cells[name], read[kind]) for name, kind in cls._KINDS.items()})
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{path}: cannot be read ({reason}); check the path or run evaluate again") from error
        except (ValueError, EOFError, csv.Error) as error:
            raise InputError(f"{path}: a damaged evaluation table ({error}); run evaluate again") from error

    @cached_property
    def members(self) -> list[np.ndarray]:
        """Row numbers of every candidate mask that has a masked slice, in the order of their k."""
        order = np.lexsort((self.k, self.mask, self.subject, self.source))
        if not len(order):
            return []
        keys = [getattr(self, name)[order] for name in ("source", "subject", "mask")]
        first = np.flatnonzero(np.any([key[1:] != key[:-1] for key in keys], axis=0)) + 1
        return [rows for rows in np.split(order, first) if (self.area[rows] > 0).any()]

    def segments(self, method: str = DEFAULT_AGGREGATION) -> Segments:
        """Every candidate mask that has voxels: its slices aggregated by ``method``, and its true volumetric DSC."""
        aggregated = [aggregate(segment_score(self, rows), method) for rows in self.members]
        rows = self.take(np.array([rows[0] for rows in self.members], int))
        return Segments(
            aggregated=np.array(aggregated, float), dsc=rows.volume_dsc.astype(float), structure=rows.structure,
            kind=rows.kind, origin=rows.origin, subject=rows.subject, source=rows.source, person=rows.person,
            stage=rows.stage, slices=np.array([(self.area[r] > 0).sum() for r in self.members], int),
        )  # fmt: skip


@dataclass
class Segments:
    """Candidate masks, all arrays [M]: ``aggregated`` from their slices' predictions, ``dsc`` the true volumetric DSC.

    ``slices`` counts those that hold mask voxels; the rest is as in :class:`Evaluated`.
    """

    aggregated: np.ndarray
    dsc: np.ndarray
    structure: np.ndarray
    kind: np.ndarray
    origin: np.ndarray
    subject: np.ndarray
    source: np.ndarray
    person: np.ndarray
    stage: np.ndarray
    slices: np.ndarray

    def __len__(self) -> int:
        return len(self.dsc)

    def take(self, rows: np.ndarray) -> Segments:
        """The masks at ``rows`` (numbers or booleans)."""
        return Segments(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def segment_score(evaluated: Evaluated, rows: np.ndarray, n_slices: int | None = None) -> SegmentScore:
    """The rows of one mask as the scores that inference would give, for :func:`QualitySentinelLib.scores.aggregate`.

    Args:
        n_slices: slices that hold mask voxels, when ``rows`` are some of them only.
    """
    masked, empty = rows[evaluated.area[rows] > 0], rows[evaluated.area[rows] == 0]
    # the area's unit cancels out in the aggregate: voxels will do
    slices = [
        SliceScore("", k, k, 0.0, dsc, dsc, float(area), "")
        for k, dsc, area in _cells(evaluated, masked, "k", "predicted", "area")
    ]
    empty_slices = [
        SliceScore("", k, k, 0.0, dsc, dsc, float(area), "", nearest_k=k, inner=inner)
        for k, dsc, area, inner in _cells(evaluated, empty, "k", "predicted", "nearest_area", "inner")
    ]
    return SegmentScore(
        "", "", None, Status.SCORED, n_slices=n_slices or len(slices), slices=slices, empty_slices=empty_slices
    )


def _cells(evaluated: Evaluated, rows: np.ndarray, *columns: str):
    return zip(*(getattr(evaluated, name)[rows].tolist() for name in columns), strict=True)
