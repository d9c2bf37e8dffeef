"""How well slices that a mask misses are found: from the empty slices that the model was offered."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..calibration import FALSE_FLAGS, below_thresholds, missed_flags, missed_thresholds
from ..stats import auroc, bootstrap_of
from .evaluated import Evaluated

_NAN = float("nan")


def missed_figures(evaluated: Evaluated, calibration: Mapping | None = None) -> dict[str, dict]:
    """Figures of finding missed slices, for ``all`` empty slices, and for ``inner`` and ``end`` ones alone.

    ``removed`` are those of otherwise perfect masks from which a run of slices was taken (kinds "removed ...").

    An empty slice is truly missed when the reference has voxels there; its score is 1 - predicted. Of each group:

    - ``n_missed``, ``n_rightly_empty``; ``auroc``;
    - ``flagged_in_sample``: share of the missed flagged at 5 % false flags, with the thresholds (inside, and beyond
      the ends) chosen on these very slices; ``false_flags_in_sample`` what they give in this group;
    - ``flagged``, ``false_flags``: the same with the thresholds of ``calibration``, chosen on other subjects, and
      ``flagged_95ci`` by bootstrap over persons; left out when there is none.

    A share of nothing is nan.
    """
    given = (calibration or {}).get("missed")
    empty = evaluated.empty
    in_sample = missed_thresholds(evaluated, FALSE_FLAGS)
    result = {}
    removed = np.char.startswith(empty.kind, "removed")
    groups = {"all": np.ones(len(empty), bool), "inner": empty.inner, "end": ~empty.inner, "removed": removed}
    for group, rows in groups.items():
        if group == "removed" and not rows.any():
            continue
        part = empty.take(rows)
        missed = part.reference_area > 0
        figures = {
            "n_missed": int(missed.sum()),
            "n_rightly_empty": int((~missed).sum()),
            "auroc": auroc(-part.predicted, missed),
        }
        if in_sample:
            flagged = below_thresholds(part.predicted, part.inner, in_sample)
            figures |= {
                "flagged_in_sample": _share(flagged[missed]),
                "false_flags_in_sample": _share(flagged[~missed]),
            }
        if given:
            flagged = missed_flags(part, calibration)
            figures |= {"flagged": _share(flagged[missed]), "false_flags": _share(flagged[~missed])}
            interval = _flagged_interval(flagged[missed], part.person[missed])
            if interval:
                figures["flagged_95ci"] = interval
        result[group] = figures
    return result


def _flagged_interval(flagged: np.ndarray, person: np.ndarray) -> tuple[float, float] | None:
    return bootstrap_of(lambda w: float(np.average(flagged, weights=w)) if w.sum() else _NAN, person)


def _share(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else _NAN
