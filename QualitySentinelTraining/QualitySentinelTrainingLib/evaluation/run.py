"""From a model and candidate masks, or a folder of pairs, to the evaluation table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from tqdm import tqdm

from QualitySentinelLib.checkpoint import QualityModel
from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.slices import Preset

from ..candidates import Candidate, candidates_with_removed_slices, simulated_candidates
from ..model_files import seen_by
from ..pairs import PairFile, Pairs, make_pairs, owner_of, pair_files, restored
from ..pairs.columns import channels_for
from ..pairs.file import SUFFIX
from ..subjects import PHANTOM_SEEDS, Subject, SubjectSource, phantom_subject, read_all
from .table import EvaluationTable

_BATCH = 64
_CANDIDATES_AT_ONCE = 8


def predict(model: QualityModel, pairs: Pairs, made_with: Preset | None = None) -> np.ndarray:
    """Predicted DSC, clamped to 0..1, float32 [N]; ``made_with`` is the pairs' preset, if it has more windows."""
    channels = channels_for(made_with or model.preset, model.preset)
    return _predicted(model, lambda rows: (pairs.images[rows][:, channels], pairs.locator[rows]), pairs)


def _predicted(
    model: QualityModel, pictures: Callable[[slice], tuple[np.ndarray, np.ndarray | None]], columns
) -> np.ndarray:
    """Predicted DSC of all rows of ``columns``; ``pictures`` gives images and locators of some, so that they need not
    be in memory all at once.
    """
    parts, size = [np.zeros(0, np.float32)], model.preset.locator
    for start in range(0, len(columns.structure), _BATCH):
        rows = slice(start, start + _BATCH)
        names = [str(name) for name in columns.structure[rows]]
        images, locator = pictures(rows)
        if locator is None or locator.shape[-1] != size:  # of old: nothing is known of the place
            locator = np.zeros((len(names), 2, size, size), np.uint8)
        where = torch.from_numpy(columns.place[rows]), torch.from_numpy(locator).float() / 255.0
        shown, pixel_mm = restored(torch.from_numpy(images).float()), torch.from_numpy(columns.pixel_mm[rows])
        parts.append(model.score(shown, names, pixel_mm, *where))
    return np.clip(np.concatenate(parts), 0.0, 1.0)


def evaluate(
    model: QualityModel, subject: Subject, candidates: Iterable[Candidate], first_mask: int = 0
) -> EvaluationTable:
    """Score every slice of every candidate mask of a subject, and every empty slice that inference would offer.

    Masks are numbered from one above ``first_mask``; give more when a subject is evaluated in several calls.
    """
    candidates, parts, number = iter(candidates), [], first_mask
    rng = np.random.default_rng(0)  # nothing is drawn: every slice is taken
    while some := list(islice(candidates, _CANDIDATES_AT_ONCE)):
        pairs = make_pairs(subject, some, rng, model.preset, slices_per_mask=None, empty_per_mask=None)
        table = EvaluationTable.of(pairs, predict(model, pairs))
        table.mask = table.mask + number
        number += len(some)
        parts.append(table)
    return EvaluationTable.concatenate(parts)


def evaluate_pair_files(model: QualityModel, paths: Iterable[Path]) -> Iterator[EvaluationTable]:
    """The evaluation table of each pair file; they must hold every slice of their masks for segments to mean anything.

    Raises:
        InputError: a file is damaged.
    """
    for path in paths:
        file = PairFile(path)
        try:
            channels, columns = channels_for(file.preset, model.preset), SimpleNamespace(**file.columns)

            def pictures(rows: slice, file=file, channels=channels) -> tuple[np.ndarray, np.ndarray | None]:
                images, _, locator = file.pictures(rows)
                return images[:, channels], locator

            table = EvaluationTable.of(columns, _predicted(model, pictures, columns))
            # a model without a neighbour channel is asked for no empty slices, and can say nothing of them
            yield table if model.preset.neighbour else table.masked
        finally:
            file.close()


def worst_slices(table: EvaluationTable, paths: Iterable[Path], count: int = 40) -> list[tuple]:
    """What :func:`.pictures.worst_picture` shows of the slices predicted farthest from the truth, one of each structure
    of a subject; ``table`` is the evaluation of the pair files ``paths``.
    """
    path_of = {path.name.removesuffix(SUFFIX): path for path in paths}
    error = np.where(table.area > 0, np.abs(table.predicted - table.dsc), 0.0)
    shown, had = [], set()
    for row in np.argsort(-error):
        one = table.subject[row], table.structure[row]
        if one in had or not error[row]:
            continue
        had.add(one)
        file = PairFile(path_of[str(table.subject[row])])
        at = np.flatnonzero((file.columns["mask"] == table.mask[row]) & (file.columns["k"] == table.k[row]))[0]
        images, reference, _ = file.pictures(int(at))
        file.close()
        title = f"{table.subject[row]}\n{table.structure[row]}, k {table.k[row]}\n{table.kind[row][:32]}\n"
        title += f"predicted {table.predicted[row]:.2f}, true {table.dsc[row]:.2f}"
        shown.append((images[0], images[file.preset.mask_channel] / 254.0, reference / 255.0, title))
        if len(shown) == count:
            break
    return shown


def evaluated_groups(
    model: QualityModel, sources: Sequence[SubjectSource], masks: int, seed: int
) -> dict[str, EvaluationTable]:
    """Evaluation tables by data set, of subjects that the model was never trained on, and of unseen phantoms.

    ``masks`` are simulated of each structure; masks with removed slices follow, if the model can find them.
    """
    seen = seen_by(model)
    unseen = [source for source in sources if source.patient not in seen]
    if len(unseen) < len(sources):
        print(
            f"{len(sources) - len(unseen)} of {len(sources)} subjects left out: the model was trained on these patients"
        )
    names = dict.fromkeys(source.source for source in unseen)
    subjects = {name: read_all([s for s in unseen if s.source == name]) for name in names}
    subjects["unseen phantoms"] = (phantom_subject(s) for s in PHANTOM_SEEDS["test"])
    rng, result = np.random.default_rng(seed), {}
    for name, some in subjects.items():
        parts = []
        for subject in tqdm(some, unit="subject", desc=name):
            parts.append(evaluate(model, subject, simulated_candidates(subject, rng, masks)))
            if model.preset.neighbour:
                first = int(parts[-1].mask.max(initial=0))
                parts.append(evaluate(model, subject, candidates_with_removed_slices(subject, rng), first))
        result[name] = EvaluationTable.concatenate(parts)
    return result


def groups_of_pairs(
    model: QualityModel, folders: Sequence[Path], sources: Sequence[str] | None = None
) -> dict[str, EvaluationTable]:
    """Evaluation tables by data set, of the pair files in ``folders`` whose patients the model was never trained on.

    The files must hold every slice of their masks, as ``make-pairs --evaluation`` writes them.

    Raises:
        UsageError: nobody is left.
        InputError: a folder has no pair files, or one is damaged.
    """
    seen = seen_by(model)
    groups: dict[str, list[Path]] = {}
    for path in (path for folder in folders for path in pair_files(folder)):
        patient, source = owner_of(path)
        if not patient:
            PairFile(path).close()  # names a damaged one before hours of scoring, not after; one without pairs passes
        elif patient not in seen and (not sources or source in sources):
            groups.setdefault(source, []).append(path)
    if not groups:
        raise UsageError(
            f"{folders[0]}: no subjects to evaluate: the model was trained on all of them, or --sources is wrong"
        )
    return {
        source: EvaluationTable.concatenate(
            list(tqdm(evaluate_pair_files(model, paths), total=len(paths), unit="subject", desc=source))
        )
        for source, paths in groups.items()
    }
