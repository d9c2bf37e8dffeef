"""An active-learning strategy for a MONAI Label app: the next image is the one whose label is predicted worst.

MONAI Label has an environment of its own (docs/SELECTION.md). In the app's ``init_strategies``::

    from QualitySentinelTrainingLib.selection.monai_label import QualitySentinelStrategy

    return {"quality-sentinel": QualitySentinelStrategy(names="labels.json")}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.datastore import Datastore, DefaultLabelTag
from monailabel.interfaces.tasks.strategy import Strategy

from QualitySentinelLib.checkpoint import load_model
from QualitySentinelLib.datasets.pool import read_list
from QualitySentinelLib.errors import QualitySentinelError
from QualitySentinelLib.reading import read_ct, read_segmentation
from QualitySentinelLib.scorer import Scorer

from .image import PoolImage
from .strategies import STRATEGIES
from .units import CaseScores, neutral, units_of

_KEY = "quality_sentinel"


class QualitySentinelStrategy(Strategy):
    """Ranks the unlabeled images of a MONAI Label datastore.

    Args:
        selection: a ``selection.csv``: its order is kept. Without it, the app's own predictions (labels with the tag
            ``original``) are scored, each once; images without one come in the middle.
        names: what their label values mean, as ``read_segmentation`` takes it.
        model, device: as ``load_model`` and ``Scorer`` take them.
        seed: draws ties.
    """

    def __init__(
        self, selection: str | Path | None = None, names: str | None = None, model: str = "bundled",
        device: str = "auto", seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__("Lowest predicted DSC first (Quality Sentinel)")
        self._ranks: dict[str, int] | None = None
        if selection is not None:
            cases = dict.fromkeys(row.case.rpartition("/")[2] for row in read_list(Path(selection)))
            self._ranks = {case: rank for rank, case in enumerate(cases)}
        self._names, self._model, self._device, self._seed = names, model, device, seed
        self._scorer: Scorer | None = None

    def __call__(self, request: dict, datastore: Datastore) -> dict[str, Any] | None:
        """The next image, as MONAI Label asks for it; ``None`` when all are labeled."""
        images = sorted(datastore.get_unlabeled_images(request.get("label_tag"), request.get("labels")))
        if not images:
            return None
        if self._ranks is None:
            score = neutral(np.array([self._score(image, datastore) for image in images]))
        else:
            score = np.array([-float(self._ranks.get(image, len(self._ranks))) for image in images])
        noise = np.random.default_rng(self._seed).permutation(len(images))
        best = int(np.lexsort((noise, -score))[0])
        return {"id": images[best], "weight": float(score[best])}

    def _score(self, image: str, datastore: Datastore) -> float:
        label = datastore.get_label_by_image_id(image, DefaultLabelTag.ORIGINAL)
        uri = datastore.get_label_uri(label, DefaultLabelTag.ORIGINAL) if label else ""
        if not uri or not Path(uri).exists():
            return float("nan")
        told = [Path(uri).stat().st_size, Path(uri).stat().st_mtime_ns]
        known = datastore.get_image_info(image).get(_KEY, {})
        if known.get("label") == told:
            return float("nan") if known["score"] is None else known["score"]
        score = self._measured(datastore.get_image_uri(image), uri)
        datastore.update_image_info(image, {_KEY: {"label": told, "score": score if np.isfinite(score) else None}})
        return score

    def _measured(self, image: str, label: str) -> float:
        self._scorer = self._scorer or Scorer(load_model(self._model), device=self._device)
        try:
            ct = read_ct(image)
            masks = read_segmentation(label, ct, names=self._names)
        except QualitySentinelError:
            return float("nan")
        rows = STRATEGIES["predicted-quality"].measure(PoolImage(ct, [masks], scorer=self._scorer))
        return float(units_of([CaseScores(image, rows)], "case").score[0])
