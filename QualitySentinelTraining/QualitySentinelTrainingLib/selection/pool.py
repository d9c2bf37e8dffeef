"""The cases of a pool, with or without masks, and what networks said of them; each measured by a strategy as a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from QualitySentinelLib.anatomy import match_structure
from QualitySentinelLib.datasets import Case, DataSet, fingerprint, read_case_ct
from QualitySentinelLib.datasets.pool import read_list
from QualitySentinelLib.datasets.predictions import Prediction, find_predictions
from QualitySentinelLib.errors import InputError, UsageError, reason_of
from QualitySentinelLib.reading import read_segmentation
from QualitySentinelLib.scores import read_report_json
from QualitySentinelLib.volume import CtVolume, Segmentation

from ..runs import Result, Work
from ..segmentation.network import SegmentationNetwork
from ..segmentation.probabilities import likeliest, probability_files, read_probabilities
from ..tables import read_frame
from .image import PASSES, PoolImage, segmentation_of
from .options import SelectOptions
from .strategies import NEEDS, STRATEGIES, Strategy
from .strategies.predicted_quality import structure_scores
from .units import WHOLE, CaseScores, StructureScores

_WRITES = {"predicted_dsc": "an audit", "label_quality": "find-errors"}


@dataclass(frozen=True)
class PoolItem:
    """A case of the pool, not yet read; it can be sent to another process."""

    name: str
    case: Case
    predictions: tuple[Prediction, ...] = ()
    probabilities: tuple[Path, ...] = ()

    @property
    def masks(self) -> list[tuple[Path, Any]]:
        """Predicted masks, and what their values mean: those that were given, else those of the pool."""
        found = [(p.path, p.names) for p in self.predictions]
        return found or ([(self.case.root / self.case.seg, self.case.names)] if self.case.seg else [])


def check_given(options: SelectOptions, masks_in_pool: bool, by_slice: bool) -> None:
    """Refuse a strategy without what it needs.

    Raises:
        UsageError: something is missing.
        InputError: a network cannot be read.
    """
    strategy, networks = STRATEGIES[options.strategy], [SegmentationNetwork.load(p).options for p in options.network]
    masks = masks_in_pool or bool(options.predictions or options.probabilities or networks)
    has = {
        "ct": masks or not by_slice,
        "masks": masks or (options.scores is not None and strategy.from_table),
        "scores": bool(options.scores or options.probabilities or networks),
        "probabilities": bool(options.probabilities or networks),
        "passes": len(options.probabilities) > 1 or any(n.dropout > 0 for n in networks[:1]),
        "networks": max(len(options.predictions), len(options.probabilities), len(networks)) > 1,
        "levels": len(options.probabilities) == 3 or any(n.levels == 3 for n in networks[:1]),
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


def items_of(
    data: DataSet, predictions: Sequence[Path] = (), probabilities: Sequence[Path] = ()
) -> tuple[list[PoolItem], dict[str, str]]:
    """The cases with what was given of each; and, by name, what is missing of those that cannot be measured.

    Args:
        data: the pool.
        predictions, probabilities: folders, one for each network.

    Raises:
        InputError: a folder holds no predictions or probabilities.
    """
    predicted = [{p.subject: p for p in find_predictions(folder)} for folder in predictions]
    likely, items, failed = [probability_files(folder) for folder in probabilities], [], {}
    for case in data.cases:
        name = case.name.rpartition("/")[2]
        lacking = [folder for folder, of in zip(predictions, predicted, strict=True) if name not in of]
        lacking += [folder for folder, of in zip(probabilities, likely, strict=True) if name not in of]
        if case.problem or lacking:
            failed[case.name] = case.problem or f"{lacking[0]}: has nothing of {name}; predict it, or leave it out"
        else:
            items.append(PoolItem(case.name, case, tuple(p[name] for p in predicted), tuple(p[name] for p in likely)))
    return items, failed


class MeasureWork(Work):
    """Measures the cases of a pool; ``by_slice``: masks are read even if only the budget needs them."""

    def __init__(self, options: SelectOptions, by_slice: bool = False) -> None:
        self.options, self.device, self.strategy = options, options.device, options.strategy
        self.by_slice = by_slice
        self._networks: tuple[SegmentationNetwork, ...] = ()
        self._scorer: Any = None  # its import brings PyTorch

    def start(self, device: str) -> None:
        """Load the networks."""
        import torch

        self._networks = tuple(SegmentationNetwork.load(path, device) for path in self.options.network)
        if STRATEGIES[self.strategy].needs == "masks":
            from QualitySentinelLib.checkpoint import load_model
            from QualitySentinelLib.scorer import Scorer

            self._scorer = Scorer(load_model(self.options.model), device=device)
        if device == "cpu":
            torch.set_num_threads(1)  # workers are many

    def fingerprint(self, item: PoolItem) -> str:
        """Of the CT, its masks and what was given of it."""
        paths = [p.path for p in item.predictions] + list(item.probabilities)
        told = [(p.stat().st_size, p.stat().st_mtime_ns) for p in paths if p.exists()]
        return f"{fingerprint(item.case)} {told}"

    def read(self, item: PoolItem) -> tuple[CtVolume, list[Segmentation]]:
        """The CT and the masks of each network."""
        ct, wanted = read_case_ct(item.case), STRATEGIES[self.strategy].needs
        needed = wanted in ("masks", "networks", "scores") or (wanted == "ct" and self.by_slice)
        made = wanted != "scores" and not item.predictions and (item.probabilities or self.options.network)
        masks = item.masks if needed and not made else ()  # else the networks draw them
        return ct, [read_segmentation(path, ct, names=names) for path, names in masks]

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
        line = {"structure": one.structure, "slices": [image.ct.frame.file_slice(int(k)) for k in one.slices]}
        line |= {"whole": _plain(one.whole), "area": one.area.tolist(), "score": _plain(one.score)}
        line |= {} if one.confidence is None else {"confidence": _plain(one.confidence)}
        lines.append(line | ({} if one.features is None else {"features": _plain(one.features, 3)}))
    return Result({"features": _plain(image.features, 3)} if strategy.features else {}, lines)


def case_scores(name: str, head: dict, lines: Sequence[dict]) -> CaseScores:
    """A record of :func:`result_of`."""
    rows = []
    for line in lines:
        values: dict[str, Any] = {n: np.array(v, float) for n, v in line.items() if n not in ("structure", "slices")}
        values |= {"structure": line["structure"], "slices": np.array(line["slices"], int)}
        rows.append(StructureScores(**values | {"whole": float(values["whole"])}))
    return CaseScores(name, rows, np.array(head["features"]) if "features" in head else None)


def _plain(values: np.ndarray | float, decimals: int = 6) -> Any:
    """As JSON, ``None`` for what is not finite."""
    values = np.round(np.asarray(values, float), decimals)
    return np.where(np.isfinite(values), values, None).tolist()


def _classes(item: PoolItem, ct: CtVolume, networks: Sequence[SegmentationNetwork]) -> tuple[str, ...]:
    if networks or not item.probabilities:
        return networks[0].classes if networks else ()
    named = read_probabilities(item.probabilities[0], ct).classes
    return tuple(found.name if (found := match_structure(name)) else name for name in named)


def _stacks(
    need: str, item: PoolItem, ct: CtVolume, networks: Sequence[SegmentationNetwork]
) -> Iterator[np.ndarray]:
    """Class probabilities of each network, pass or level, ``[K, k, j, i]``."""
    if networks:
        yield from network_stacks(need, networks, ct)
        return
    first = None
    for path in item.probabilities:
        one = read_probabilities(path, ct)
        first = first or one.classes
        if one.classes != first:
            mine, its = ", ".join(one.classes), ", ".join(first)
            raise InputError(f"{path}: has the classes {mine}, not {its}; give networks of the same structures")
        yield one.values


def network_stacks(
    need: str, networks: Sequence[SegmentationNetwork], ct: CtVolume, known: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Class probabilities ``[K, k, j, i]`` of each network, or of each pass or level of the first.

    Args:
        need: of a strategy.
        networks: one or several.
        ct: the CT.
        known: what the last network gives for it.
    """
    first, last = networks[0], networks[-1]
    if need == "passes":
        yield from (first.predict_probabilities(ct, dropout_seed=seed) for seed in range(PASSES))
    elif need == "levels":
        yield from first.predict_levels(ct, (0, 2, 1))
    else:
        for network in networks:
            yield network.predict_probabilities(ct) if network is not last or known is None else known


def scores_of_table(path: Path, quality: str) -> Iterator[CaseScores]:
    """The scores of a data set, case after case.

    Args:
        path: folder of an audit, its table of slices, or the folder of find-errors (``scores/CASE.json``).
        quality: the column that says how good a slice is.

    Raises:
        InputError: a table cannot be read, or lacks a column.
    """
    if (Path(path) / "scores").is_dir() and quality == "label_quality":  # find-errors
        for file in sorted((Path(path) / "scores").rglob("*.json")):
            name = file.relative_to(Path(path) / "scores").with_suffix("").as_posix()
            yield CaseScores(name, structure_scores(read_report_json(file)))
        return
    if Path(path).is_dir():
        path = next(iter(Path(path).glob("slices.parquet")), Path(path) / "slices.csv")
    table, whole = read_frame(Path(path)), {}
    for wanted in ("case", "structure", "slice_index", quality):
        if wanted not in table:
            raise InputError(f"{path}: has no column '{wanted}'; give the folder of {_WRITES[quality]}")
    segments = Path(path).with_name(f"segments{Path(path).suffix}")
    if quality == "predicted_dsc" and segments.is_file():
        whole = read_frame(segments, None, False).set_index(["case", "segment"])[quality].dropna().to_dict()
    try:
        table = table.assign(score=1 - table[quality].astype(float), slice_index=table["slice_index"].astype(int))
    except ValueError as error:
        raise InputError(f"{path}: a damaged table ({reason_of(error)}); write it again") from error
    segment = "segment" if "segment" in table else "structure"
    for case, of_case in table.groupby("case", sort=False, observed=True):
        rows = []
        for name, one in of_case.groupby(segment, sort=False, observed=True):
            structure, score = one["structure"].iloc[0], one["score"].to_numpy()
            known, k = float(1 - whole.get((case, name), 1 - score.mean())), one["slice_index"].to_numpy()
            area = 1 - one["missed"].eq(1).to_numpy(int) if "missed" in one else np.ones(len(one), int)
            rows.append(StructureScores(structure if isinstance(structure, str) else name, known, k, area, score))
        yield CaseScores(case, rows)
