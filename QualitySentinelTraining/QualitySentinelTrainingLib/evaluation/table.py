"""The evaluation table: what is known of every slice of every candidate mask, and what a model predicted for it."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from QualitySentinelLib.errors import InputError, reason_of
from QualitySentinelLib.files import atomic_write
from QualitySentinelLib.scores import SegmentScore, SliceScore, Status
from QualitySentinelLib.scores.aggregation import DEFAULT_AGGREGATION, aggregate

from ..pairs.columns import OLD_NAMES, SliceColumns

if TYPE_CHECKING:
    import pandas as pd

_OF_MASK = ("structure", "kind", "origin", "subject", "source", "patient", "stage")


@dataclass(kw_only=True)
class EvaluationTable(SliceColumns):
    """Slices of candidate masks of subjects that the model never saw, one row each, all arrays [N].

    Rows with ``area`` > 0 are slices that hold mask voxels; rows with ``area`` 0 are empty slices offered as possibly
    missed. A mask's rows must be complete (every slice it has voxels in, and no or all empty slices that inference
    would offer) for its segment's figures to mean anything.
    """

    predicted: np.ndarray = field(metadata={"dtype": np.float32})  # the model's, clamped to 0..1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.predicted = np.clip(self.predicted, 0.0, 1.0)

    @classmethod
    def of(cls, pairs, predicted: np.ndarray) -> EvaluationTable:
        """The columns of ``pairs`` (anything that has them as attributes) with a model's predictions for them, [N]."""
        return cls(predicted=predicted, **{name: getattr(pairs, name) for name in SliceColumns.types()})

    @classmethod
    def read_all(cls, paths: Sequence[Path]) -> tuple[EvaluationTable, list[str]]:
        """Several tables as one, and the subjects of which a later table's rows were left out.

        Models of several folds have all scored those subjects that none was trained on. Their masks bear the same
        numbers in each table, so the slices of all models would pass for those of one mask: the first table counts.

        Raises:
            InputError: as :meth:`read`.
        """
        parts, taken, twice = [], set[tuple](), set[tuple]()
        for path in paths:
            table = cls.read(path)
            subjects = list(zip(table.source.tolist(), table.subject.tolist(), strict=True))
            own = set(subjects)
            parts.append(table.take(np.array([one not in taken for one in subjects], bool)) if taken & own else table)
            twice |= taken & own
            taken |= own
        return cls.concatenate(parts), sorted(subject for _, subject in twice)

    @property
    def masked(self) -> EvaluationTable:
        """The slices that hold mask voxels."""
        return self.take(self.area > 0)

    @property
    def empty(self) -> EvaluationTable:
        """The empty slices offered as possibly missed."""
        return self.take(self.area == 0)

    def by_source(self) -> dict[str, EvaluationTable]:
        """The rows of each data set; what follows a comma in a source's name does not count."""
        names = np.array([str(source).split(",")[0] or "subjects" for source in self.source])
        return {str(name): self.take(np.flatnonzero(names == name)) for name in np.unique(names)}

    def write(self, path: Path) -> Path:
        """Write as CSV, whole, and give the path; gzip-compressed when the name ends in ``.gz``.

        Raises:
            InputError: it cannot be written.
        """
        import pandas as pd

        columns = {
            name: getattr(self, name).astype(int if kind is bool else kind) for name, kind in self.types().items()
        }
        text = pd.DataFrame(columns).to_csv(index=False, float_format="%.9g", na_rep="nan", lineterminator="\n")
        content = text.encode()
        return atomic_write(path, gzip.compress(content, 6, mtime=0) if str(path).endswith(".gz") else content)

    @classmethod
    def read(cls, path: Path) -> EvaluationTable:
        """Read what :meth:`write` wrote.

        Raises:
            InputError: there is no such file, it is damaged, or it is another table.
        """
        import pandas as pd

        kinds = {name: int if kind is bool else kind for name, kind in cls.types().items()}
        numbers = {name: ["", "nan"] for name, kind in kinds.items() if kind is np.float32}
        try:
            types = kinds | dict.fromkeys(OLD_NAMES, str)
            frame = pd.read_csv(path, dtype=types, keep_default_na=False, na_values=numbers).rename(columns=OLD_NAMES)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({reason_of(error)}); run evaluate again") from error
        except (ValueError, EOFError) as error:
            raise InputError(f"{path}: a damaged evaluation table ({reason_of(error)}); run evaluate again") from error
        if missing := ", ".join(sorted(kinds.keys() - set(frame.columns))):
            raise InputError(f"{path}: not an evaluation table (no column {missing}); run evaluate again")
        return cls(**{name: frame[name].to_numpy() for name in kinds})

    @cached_property
    def members(self) -> list[np.ndarray]:
        """Row numbers of every candidate mask that has a masked slice, in the order of their k."""
        order = np.lexsort((self.k, self.mask, self.subject, self.source))
        if not len(order):
            return []
        keys = [getattr(self, name)[order] for name in ("source", "subject", "mask")]
        first = np.flatnonzero(np.any([key[1:] != key[:-1] for key in keys], axis=0)) + 1
        return [rows for rows in np.split(order, first) if (self.area[rows] > 0).any()]

    def segments(self, method: str = DEFAULT_AGGREGATION) -> pd.DataFrame:
        """Every candidate mask that has voxels: ``aggregated`` from its slices by ``method``, its true volumetric
        ``dsc``, its ``slices`` that hold mask voxels, and what else is told of it.
        """
        import pandas as pd

        first = self.take(np.array([rows[0] for rows in self.members], int))
        return pd.DataFrame({
            **{name: getattr(first, name).astype(object) for name in _OF_MASK},
            "slices": np.array([(self.area[rows] > 0).sum() for rows in self.members], int),
            "aggregated": np.array([aggregate(segment_score(self, rows), method) for rows in self.members], float),
            "dsc": first.volume_dsc.astype(float),
        })  # fmt: skip


def segment_score(table: EvaluationTable, rows: np.ndarray, n_slices: int | None = None) -> SegmentScore:
    """The rows of one mask as the scores that inference would give, for :func:`QualitySentinelLib.scores.aggregate`;
    ``n_slices`` is how many hold mask voxels, when ``rows`` are some of them only.
    """
    masked, empty = rows[table.area[rows] > 0], rows[table.area[rows] == 0]
    # the area's unit cancels out in the aggregate: voxels will do
    slices = [
        SliceScore("", k, k, 0.0, dsc, dsc, float(area), "")
        for k, dsc, area in _cells(table, masked, "k", "predicted", "area")
    ]
    empty_slices = [
        SliceScore("", k, k, 0.0, dsc, dsc, float(area), "", nearest_k=k, inner=inner)
        for k, dsc, area, inner in _cells(table, empty, "k", "predicted", "nearest_area", "inner")
    ]
    return SegmentScore(
        "", "", None, Status.SCORED, n_slices=n_slices or len(slices), slices=slices, empty_slices=empty_slices
    )


def _cells(table: EvaluationTable, rows: np.ndarray, *columns: str):
    return zip(*(getattr(table, name)[rows].tolist() for name in columns), strict=True)
