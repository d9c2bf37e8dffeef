"""The cases of a pool, with or without masks, and what networks said of them; each measured by a strategy as a run."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from QualitySentinelLib.anatomy import match_structure
from QualitySentinelLib.datasets import Case, DataSet, fingerprint, read_case_ct
from QualitySentinelLib.datasets.pool import read_list
from QualitySentinelLib.datasets.predictions import Prediction, find_predictions
from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelLib.reading import read_segmentation
from QualitySentinelLib.reading.image import image_stem
from QualitySentinelLib.reading.walk import folders_in, images_in
from QualitySentinelLib.scores import read_report_json
from QualitySentinelLib.scores.tables import read_segments_csv, unescaped
from QualitySentinelLib.volume import CtVolume, Segmentation

from ..runs import Result, Work
from ..segmentation.network import SegmentationNetwork
from ..segmentation.probabilities import read_probabilities
from .image import PASSES, PoolImage, likeliest, segmentation_of
from .strategies import NEEDS, STRATEGIES, Strategy
from .strategies.predicted_quality import structure_scores
from .units import WHOLE, CaseScores, StructureScores

QUALITY_COLUMNS = ("label_quality", "predicted_dsc")
"""Columns of a table of scores that say how good a slice is; the first that is there counts."""


@dataclass(frozen=True)
class PoolItem:
    """A case of the pool, not yet read; it can be sent to another process."""

    name: str
    case: Case
    predictions: tuple[Prediction, ...] = ()
    probabilities: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Given:
    """What the user gives beside the CTs; each entry is one network (or pass, or level).

    Attributes:
        predictions: folders of predicted masks.
        probabilities: folders of class probabilities.
        networks: files of our segmentation networks.
        scores: folder of an audit or of find-errors, or its ``slices.csv``.
    """

    predictions: tuple[Path, ...] = ()
    probabilities: tuple[Path, ...] = ()
    networks: tuple[Path, ...] = ()
    scores: Path | None = None

    def check(self, strategy: Strategy, masks_in_pool: bool, by_slice: bool) -> None:
        """Refuse a strategy without what it needs.

        Raises:
            UsageError: something is missing.
            InputError: a network cannot be read.
        """
        several = max(len(self.predictions), len(self.probabilities), len(self.networks)) > 1
        options = [SegmentationNetwork.load(path).options for path in self.networks]
        masks = masks_in_pool or bool(self.predictions or self.probabilities or self.networks)
        has = {
            "ct": masks or not by_slice,
            "masks": masks or (self.scores is not None and strategy.from_table),
            "scores": self.scores is not None,
            "probabilities": bool(self.probabilities or options),
            "passes": len(self.probabilities) > 1 or any(o.dropout > 0 for o in options[:1]),
            "networks": several,
            "levels": len(self.probabilities) == 3 or any(o.levels == 3 for o in options[:1]),
        }
        if not has[strategy.needs]:
            raise UsageError(f"--strategy {strategy.name}: needs {NEEDS[strategy.needs]}")


def units_in(path: Path) -> list[tuple[str, str, int, float]]:
    """Case, structure, slice (or ``WHOLE``) and score of each row of a list.

    Raises:
        InputError: as ``read_list`` does.
    """
    rows = (row._replace(score=np.nan) if row.score is None else row for row in read_list(path))
    return [(*row.unit[:2], WHOLE if row.slice_index is None else row.slice_index, row.score) for row in rows]


def items_of(data: DataSet, given: Given) -> tuple[list[PoolItem], dict[str, str]]:
    """The cases with what was given of each; and, by name, what is missing of those that cannot be measured.

    Raises:
        InputError: a folder holds no predictions or probabilities.
    """
    predicted = [{p.subject: p for p in find_predictions(folder)} for folder in given.predictions]
    likely = [_probability_files(folder) for folder in given.probabilities]
    items, failed = [], {}
    for case in data.cases:
        name = case.name.rpartition("/")[2]
        lacking = [f for f, of in zip(given.predictions, predicted, strict=True) if name not in of]
        lacking += [f for f, of in zip(given.probabilities, likely, strict=True) if name not in of]
        if case.problem or lacking:
            failed[case.name] = case.problem or f"{lacking[0]}: has nothing of {name}; predict it, or leave it out"
            continue
        items.append(PoolItem(case.name, case, tuple(p[name] for p in predicted), tuple(p[name] for p in likely)))
    return items, failed


def _probability_files(folder: Path) -> dict[str, Path]:
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: no such folder; give the folder of class probabilities")
    files = {image_stem(p).removesuffix(".npz"): p for p in sorted(Path(folder).glob("*.npz"))}
    files = files or {image_stem(p): p for p in images_in(folder)} or {p.name: p for p in folders_in(folder)}
    if not files:
        raise InputError(f"{folder}: holds no class probabilities; expected CASE.npz, CASE.nii.gz or CASE/liver.nii.gz")
    return files


class MeasureWork(Work):
    """Measures the cases of a pool by one strategy; ``by_slice``: masks are read even if only the budget needs them."""

    def __init__(
        self, strategy: str, given: Given, device: str = "cpu", model: str = "bundled", by_slice: bool = False
    ) -> None:
        self.strategy, self.given, self.device, self.model = strategy, given, device, model
        self.by_slice, self._networks, self._scorer = by_slice, (), None

    def start(self, device: str) -> None:
        """Load the networks."""
        import torch

        self._networks = tuple(SegmentationNetwork.load(path, device) for path in self.given.networks)
        if STRATEGIES[self.strategy].needs == "masks":
            from QualitySentinelLib.checkpoint import load_model
            from QualitySentinelLib.scorer import Scorer

            self._scorer = Scorer(load_model(self.model), device=device)
        if device == "cpu":
            torch.set_num_threads(1)  # workers are many

    def fingerprint(self, item: PoolItem) -> str:
        """Of the CT, its masks and what was given of it."""
        paths = [p.path for p in item.predictions] + list(item.probabilities)
        told = [(p.stat().st_size, p.stat().st_mtime_ns) for p in paths if p.exists()]
        return f"{fingerprint(item.case)} {told}"

    def read(self, item: PoolItem) -> tuple[CtVolume, list[Segmentation]]:
        """The CT and the masks of each network."""
        ct, case, wanted = read_case_ct(item.case), item.case, STRATEGIES[self.strategy].needs
        if wanted not in ("ct", "masks", "networks") or (wanted == "ct" and not self.by_slice):
            return ct, []
        masks = [read_segmentation(p.path, ct, names=p.names) for p in item.predictions]
        if not masks and not item.probabilities and not self.given.networks and case.seg:
            masks = [read_segmentation(case.root / case.seg, ct, case.names)]
        return ct, masks

    def do(self, item: PoolItem, data: tuple[CtVolume, list[Segmentation]]) -> Result:
        """Its scores."""
        ct, masks = data
        strategy, classes = STRATEGIES[self.strategy], _classes(item, ct, self._networks)
        image = PoolImage(ct, masks, lambda need: _stacks(need, item, ct, self._networks), classes, self._scorer)
        if not masks and classes and (strategy.needs == "masks" or (strategy.needs == "ct" and self.by_slice)):
            image.masks = [segmentation_of(likeliest(next(image.stacks("probabilities"))), classes, ct)]
        return result_of(strategy, image)


def result_of(strategy: Strategy, image: PoolImage) -> Result:
    """What a strategy says of an image, as a record; slices by the numbers of the file."""
    lines = []
    for one in strategy.measure(image):
        at = [image.ct.frame.file_slice(int(k)) for k in one.slices]
        line = {"structure": one.structure, "whole": _plain([one.whole])[0], "slices": at, "area": one.area.tolist()}
        line |= {"score": _plain(one.score)}
        line |= {} if one.confidence is None else {"confidence": _plain(one.confidence)}
        line |= {} if one.features is None else {"features": np.round(one.features, 3).tolist()}
        lines.append(line)
    return Result({"features": np.round(image.features, 3).tolist()} if strategy.features else {}, lines)


def case_scores(name: str, head: dict, lines: Sequence[dict]) -> CaseScores:
    """A record of :func:`result_of`."""
    rows = [
        StructureScores(
            line["structure"], np.nan if line["whole"] is None else line["whole"], np.array(line["slices"], int),
            np.array(line["area"], float), np.array(line["score"], float),
            np.array(line["confidence"], float) if "confidence" in line else None,
            np.array(line["features"], float) if "features" in line else None,
        )
        for line in lines
    ]  # fmt: skip
    return CaseScores(name, rows, np.array(head["features"]) if "features" in head else None)


def _plain(values: Sequence[float]) -> list[float | None]:
    return [round(float(v), 6) if np.isfinite(v) else None for v in values]


def _classes(item: PoolItem, ct: CtVolume, networks: Sequence[SegmentationNetwork]) -> tuple[str, ...]:
    if networks:
        return networks[0].classes
    return _named(read_probabilities(item.probabilities[0], ct).classes) if item.probabilities else ()


def _named(classes: Sequence[str]) -> tuple[str, ...]:
    return tuple(found.name if (found := match_structure(name)) else name for name in classes)


def _stacks(
    need: str, item: PoolItem, ct: CtVolume, networks: Sequence[SegmentationNetwork]
) -> Iterator[np.ndarray]:
    """Class probabilities of each network, pass or level, ``[K, k, j, i]``."""
    if not networks:
        first = None
        for path in item.probabilities:
            one = read_probabilities(path, ct)
            first = first or one.classes
            if one.classes != first:
                mine, its = ", ".join(one.classes), ", ".join(first)
                raise InputError(f"{path}: has the classes {mine}, not {its}; give networks of the same structures")
            yield one.values
    elif need == "passes":
        yield from (networks[0].predict_probabilities(ct, dropout_seed=seed) for seed in range(PASSES))
    elif need == "levels":
        yield from (networks[0].predict_probabilities(ct, level) for level in (0, 2, 1))
    else:
        yield from (network.predict_probabilities(ct) for network in networks)


def scores_of_table(path: Path) -> Iterator[CaseScores]:
    """The scores of a data set, case after case.

    Read are the tables of an audit (``slices.csv`` and ``segments.csv``), and find-errors' ``scores/CASE.json``.

    Raises:
        InputError: a table cannot be read, or lacks a column.
    """
    if (Path(path) / "scores").is_dir():  # find-errors
        for file in sorted((Path(path) / "scores").rglob("*.json")):
            name = file.relative_to(Path(path) / "scores").with_suffix("").as_posix()
            yield CaseScores(name, structure_scores(read_report_json(file)))
        return
    path = Path(path) / "slices.csv" if Path(path).is_dir() else Path(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = reader.fieldnames or ()
            quality = next((c for c in QUALITY_COLUMNS if c in columns), QUALITY_COLUMNS[0])
            for wanted in ("case", "structure", "slice_index", quality):
                if wanted not in columns:
                    raise InputError(f"{path}: has no column '{wanted}'; give the folder of an audit or of find-errors")
            whole = _whole_scores(path.with_name("segments.csv"), quality)
            for case, rows in groupby(reader, key=lambda row: unescaped(row["case"])):
                by_segment: dict[str, list[dict]] = {}
                for row in rows:
                    by_segment.setdefault(row.get("segment") or row["structure"], []).append(row)
                yield CaseScores(case, [_from_rows(quality, whole, case, n, r) for n, r in by_segment.items()])
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path}: a damaged table ({error}); write it again") from error


def _whole_scores(path: Path, quality: str) -> dict[tuple[str, str], float]:
    if quality != "predicted_dsc" or not path.is_file():
        return {}
    rows = read_segments_csv(path)
    return {(r["case"], r["segment"]): r["predicted_dsc"] for r in rows if r["predicted_dsc"] is not None}


def _from_rows(quality: str, whole: dict, case: str, segment: str, rows: list[dict]) -> StructureScores:
    score = 1 - np.array([float(row[quality]) for row in rows])
    area = np.array([0 if row.get("missed") == "1" else 1 for row in rows])
    mean = float(score.mean())
    known = whole.get((case, unescaped(segment)))
    slices = np.array([int(row["slice_index"]) for row in rows])
    name = unescaped(rows[0]["structure"] or segment)
    return StructureScores(name, mean if known is None else 1 - known, slices, area, score)
