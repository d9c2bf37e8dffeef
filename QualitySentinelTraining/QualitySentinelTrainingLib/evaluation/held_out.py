"""The experiments that need CTs, on persons that a model was never trained on; the models of all folds together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields

import numpy as np

from QualitySentinelLib.checkpoint import QualityModel
from QualitySentinelLib.errors import UsageError

from ..model_files import seen_by
from ..subjects import SubjectSource, read_all
from .disagreement import disagreement
from .external import KINDS, STEPS, Ordering, Series, ordering, series
from .identity import Identity, identity
from .report import Experiments

NETWORKS = tuple(f"example_seg{name}.nii.gz" for name in ("", "_fast", "_fast_body_seg"))
"""Segmentations of the TotalSegmentator test case by three networks."""
NETWORKS_CT = "example_ct_sm.nii.gz"
NETWORKS_PERSON = "totalsegmentator_example"


def held_out_experiments(
    models: Sequence[QualityModel],
    sources: Sequence[SubjectSource],
    most_persons: int | None = None,
    steps: Sequence[int] = STEPS,
) -> Experiments:
    """Series of spoiled masks, their order, and networks' disagreement, each subject by a model that never saw it.

    Args:
        models: of one or more folds.
        sources: the subjects.
        most_persons: of each data set and model; the first by name. ``None``: all.
        steps: of the series, in-plane voxels.

    Raises:
        UsageError: every model saw every person.
    """
    seen = [seen_by(model) for model in models]
    mine = list(_dealt_out(sources, seen, most_persons))
    if not any(mine):
        raise UsageError("the models were trained on all patients of the data; give models of folds")
    each = [(model, some) for model, some in zip(models, mine, strict=True) if some]
    networks = None
    folders = sorted({source.folder for source in sources if source.folder is not None})
    case = next((path for folder in folders if (path := folder / NETWORKS_CT).is_file()), None)
    unbiased = next((m for m, persons in zip(models, seen, strict=True) if NETWORKS_PERSON not in persons), None)
    if case is not None and unbiased is not None:
        networks = disagreement(unbiased, case, [case.parent / name for name in NETWORKS])
    return Experiments(
        series=[_joined(Series, [series(m, read_all(s), kind, steps) for m, s in each]) for kind in KINDS],
        ordering=_joined(Ordering, [ordering(m, read_all(s)) for m, s in each]),
        disagreement=networks,
        identity=_joined(Identity, [identity(m, read_all(s)) for m, s in each]),
    )


def _dealt_out(
    sources: Iterable[SubjectSource], seen: Sequence[set[str]], most_persons: int | None
) -> Iterator[list[SubjectSource]]:
    """For each model the subjects that it never saw and that no model before it took."""
    left = list(sources)
    for persons in seen:
        chosen, count = [], {}
        for source in left:
            if source.person in persons:
                continue
            taken = count.setdefault(source.source, set())
            if source.person in taken or most_persons is None or len(taken) < most_persons:
                taken.add(source.person)
                chosen.append(source)
        left = [source for source in left if source not in chosen]
        yield chosen


def _joined(kind: type, parts: Sequence):
    """One series or ordering of several."""
    columns = {}
    for field in fields(kind):
        values = [getattr(part, field.name) for part in parts]
        columns[field.name] = np.concatenate(values) if isinstance(values[0], np.ndarray) else values[0]
    return kind(**columns)
