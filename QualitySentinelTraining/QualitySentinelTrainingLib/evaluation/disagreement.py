"""Where networks disagree: predicted quality of each network's mask beside its agreement with the other networks'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from QualitySentinelLib.checkpoint import QualityModel
from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.reading import read_ct, read_segmentation
from QualitySentinelLib.scorer import Scorer
from QualitySentinelLib.volume import Segment, Segmentation

from ..stats import spearman_r
from .within_masks import FEWEST_SLICES, orders_of


@dataclass
class Disagreement:
    """Masks of several networks for one CT, arrays: [N] slices, [M] segments.

    Attributes:
        network, structure: text, of each slice.
        k: canonical slice.
        predicted: predicted DSC of the network's mask in the slice.
        agreement: mean DSC of that mask with the masks of the other networks in the slice.
        segment_network, segment_structure, segment_predicted, segment_agreement: the same of whole segments, with the
            volumetric DSC.
    """

    network: np.ndarray
    structure: np.ndarray
    k: np.ndarray
    predicted: np.ndarray
    agreement: np.ndarray
    segment_network: np.ndarray
    segment_structure: np.ndarray
    segment_predicted: np.ndarray
    segment_agreement: np.ndarray

    def figures(self) -> dict:
        """Spearman rank correlations of predicted with true agreement.

        ``slices`` and ``segments``: over all; ``within_masks``: the mean over masks (a network's structure) of the
        correlation over the mask's own slices, which differences between structures cannot help; ``by_structure``.
        """
        masks = np.unique(np.stack([self.network, self.structure]), axis=1).T
        members = [
            np.flatnonzero((self.network == network) & (self.structure == structure)) for network, structure in masks
        ]
        members = [rows for rows in members if len(rows) >= FEWEST_SLICES]
        within = orders_of(self.predicted, self.agreement, members)
        within = within[np.isfinite(within)]
        return {
            "networks": sorted(set(self.segment_network.tolist())),
            "structures": len(np.unique(self.segment_structure)),
            "slices": {"n": len(self.k), "spearman_r": spearman_r(self.predicted, self.agreement)},
            "segments": {
                "n": len(self.segment_predicted),
                "spearman_r": spearman_r(self.segment_predicted, self.segment_agreement),
            },
            "within_masks": {
                "n": len(within), "mean_spearman_r": float(within.mean()) if len(within) else float("nan"),
            },
            "by_structure": {
                str(name): {
                    "n": int(rows.sum()),
                    "spearman_r": spearman_r(self.predicted[rows], self.agreement[rows]),
                    "mean_agreement": float(self.agreement[rows].mean()),
                    "mean_predicted": float(self.predicted[rows].mean()),
                }
                for name in np.unique(self.structure)
                for rows in [self.structure == name]
            },
        }  # fmt: skip

    def rows(self) -> list[dict]:
        """One dictionary for each slice, for a table."""
        names = ("network", "structure", "k", "predicted", "agreement")
        return [
            dict(zip(names, values, strict=True))
            for values in zip(*(getattr(self, name).tolist() for name in names), strict=True)
        ]


def disagreement(
    model: QualityModel, ct: Path, segmentations: Sequence[Path], names: str | None = None
) -> Disagreement:
    """Score the masks of several networks for one CT and compare with how well they agree with each other.

    A structure counts when at least two networks drew it; a network that left it out takes no part in its agreement.
    In a slice where another network has drawn nothing, the agreement with that network is 0.

    Args:
        ct: CT file.
        segmentations: one file (or mask folder) for each network, at least two.
        names: which label scheme the files have, as :func:`QualitySentinelLib.reading.read_segmentation` takes it.

    Raises:
        UsageError: fewer than two segmentations.
        InputError, MismatchError: a file cannot be read, or does not lie on the CT.
    """
    if len(segmentations) < 2:
        raise UsageError("disagreement needs the segmentations of at least two networks")
    volume = read_ct(ct)
    read = [read_segmentation(path, volume, names=names) for path in segmentations]
    drawn = [{s.structure: s for s in segmentation if s.structure and not s.is_empty} for segmentation in read]
    shared = [name for name in dict.fromkeys(n for d in drawn for n in d) if sum(name in d for d in drawn) > 1]
    scorer = Scorer(model)
    slices, segments = [], []
    for number, (path, segmentation) in enumerate(zip(segmentations, read, strict=True)):
        network = Path(path).name.removesuffix(".gz").removesuffix(".nii")
        mine = [drawn[number][name] for name in shared if name in drawn[number]]
        scored = scorer.score(volume, Segmentation(mine, volume.frame, segmentation.source))
        for segment, score in zip(mine, scored.segments, strict=True):
            others = [d[segment.structure] for i, d in enumerate(drawn) if i != number and segment.structure in d]
            by_slice = np.mean([_slice_dice(segment, other) for other in others], axis=0)
            first = segment.box[0].start
            for s in score.slices:
                slices.append((network, segment.structure, s.k, s.predicted_dsc, by_slice[s.k - first]))
            whole = float(np.mean([_volume_dice(segment, other) for other in others]))
            segments.append((network, segment.structure, score.predicted_dsc, whole))
    columns = [*zip(*slices, strict=True)] or [()] * 5
    whole_columns = [*zip(*segments, strict=True)] or [()] * 4
    names_ = [f.name for f in fields(Disagreement)]
    return Disagreement(**{n: np.array(c) for n, c in zip(names_, [*columns, *whole_columns], strict=True)})


def _shared(segment: Segment, other: Segment) -> np.ndarray:
    """Voxels in both, in each slice of the segment's box."""
    count = np.zeros(segment.labels.shape[0], int)
    both = [
        slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(segment.box, other.box, strict=True)
    ]  # fmt: skip
    if all(s.start < s.stop for s in both):
        mine, its = (
            s.voxels()[tuple(slice(b.start - o.start, b.stop - o.start) for b, o in zip(both, s.box, strict=True))]
            for s in (segment, other)
        )
        start = both[0].start - segment.box[0].start
        count[start : start + len(mine)] = np.count_nonzero(mine & its, axis=(1, 2))
    return count


def _slice_dice(segment: Segment, other: Segment) -> np.ndarray:
    """DSC in each slice of the segment's box; 0 where only one of them is there, and where neither is."""
    areas = np.zeros(len(segment.areas), int)
    for k in range(max(segment.box[0].start, other.box[0].start), min(segment.box[0].stop, other.box[0].stop)):
        areas[k - segment.box[0].start] = other.areas[k - other.box[0].start]
    return 2.0 * _shared(segment, other) / np.maximum(segment.areas + areas, 1)


def _volume_dice(segment: Segment, other: Segment) -> float:
    return 2.0 * _shared(segment, other).sum() / (segment.areas.sum() + other.areas.sum())
