"""Experiments on CTs of patients that a model never saw: corrupted masks, wrong names, networks that disagree.

Each gives a table and, from it, JSON-able figures for the model card.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
from scipy import ndimage

from QualitySentinelLib.checkpoint import QualityModel
from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.reading import read_ct, read_segmentation
from QualitySentinelLib.scorer import Scorer
from QualitySentinelLib.scores import SegmentScore
from QualitySentinelLib.volume import Segmentation
from QualitySentinelLib.volume.segmentation import boxes_of_labels, segment_from_mask
from QualitySentinelTrainingLib.candidates import Candidate
from QualitySentinelTrainingLib.dice import slice_dice, volume_dice
from QualitySentinelTrainingLib.evaluation.figures import FEWEST_SLICES, mean, orders_of
from QualitySentinelTrainingLib.model_files import seen_by
from QualitySentinelTrainingLib.stats import agreement, auroc, mean_interval, spearman_r
from QualitySentinelTrainingLib.subjects import Subject, SubjectSource, read_all
from QualitySentinelTrainingLib.synthesis.names import mirrored_name

KINDS = ("erosion", "dilation", "shift")
STEPS = (1, 2, 3, 4, 5)
ORDERING = {"erosion": 2, "dilation": 2, "shift": 4}
"""What a perfect mask must score above: in-plane voxels by kind."""
OWN, SIDE, ANOTHER = "own name", "other side's name", "another's name"
SWAPPED_BELOW = 0.3
"""A mask under the other side's name should be predicted below this."""
_OTHERS, _SLICES = 12, 5
"""Names of other structures that each mask is shown under, and slices scored under each name."""
NETWORKS_CT, NETWORKS_PATIENT = "example_ct_sm.nii.gz", "totalsegmentator_example"
NETWORKS = tuple(f"example_seg{name}.nii.gz" for name in ("", "_fast", "_fast_body_seg"))
"""Segmentations of the TotalSegmentator test case by three networks."""


def held_out(
    models: Sequence[QualityModel], sources: Sequence[SubjectSource], most_patients: int | None = None
) -> tuple[dict, dict[str, pd.DataFrame]]:
    """Figures of all experiments, each subject by a model that never saw it, and their tables.

    ``most_patients`` of each data set and model are taken, the first by name; all by default.
    """
    seen, left, masks, names = [seen_by(model) for model in models], list(sources), [], []
    for model, patients in zip(models, seen, strict=True):
        allowed: dict[str, list[str]] = {}
        for source in (s for s in left if s.patient not in patients):
            known = allowed.setdefault(source.source, [])
            if source.patient not in known and (most_patients is None or len(known) < most_patients):
                known.append(source.patient)
        mine = [s for s in left if s.patient in allowed.get(s.source, ())]
        left = [s for s in left if s not in mine]
        for subject in read_all(mine):
            masks.append(corrupted_masks(model, subject))
            names.append(named_masks(model, subject))
    if not masks:
        raise UsageError("the models were trained on all patients of the data; give models of folds")
    table, names = pd.concat(masks, ignore_index=True), pd.concat(names, ignore_index=True)
    figures = {
        "series": series_figures(table),
        "ordering": ordering_figures(table),
        "identity": identity_figures(names),
    }
    tables = {"corrupted": table, "identity": names}
    folders = sorted({source.folder for source in sources if source.folder is not None})
    case = next((path for folder in folders if (path := folder / NETWORKS_CT).is_file()), None)
    unbiased = next((m for m, patients in zip(models, seen, strict=True) if NETWORKS_PATIENT not in patients), None)
    if case is not None and unbiased is not None:
        tables["disagreement"] = disagreement(unbiased, case, [case.parent / name for name in NETWORKS])
        figures["disagreement"] = disagreement_figures(tables["disagreement"])
    return figures, tables


def score_masks(
    model: QualityModel, subject: Subject, masks: Sequence[Candidate], names: Sequence[str] | None = None,
    slices: int | str = "all",
) -> list[SegmentScore]:  # fmt: skip
    """Score masks of one subject, in order, as inference scores a file; as ``names``, or as what they show."""
    names = names or [subject.structures[mask.value] for mask in masks]
    segments = [
        segment_from_mask(mask.mask, mask.corner, id=str(number), name=str(number), structure=name)
        for number, (mask, name) in enumerate(zip(masks, names, strict=True))
    ]
    scorer = Scorer(model, slices=slices)
    return scorer.score(subject.ct, Segmentation(segments, subject.ct.frame, subject.name)).segments


def corrupted(subject: Subject, value: int, kind: str, step: int) -> Candidate:
    """The reference mask of a structure, eroded, dilated or shifted in every slice by ``step`` in-plane voxels.

    Erosion and dilation work with the four neighbours of a voxel; what lies outside the scan counts as part of the
    structure for erosion. A shift goes along one of the four in-plane directions, which subject and structure decide;
    what leaves the scan is lost.
    """
    box = boxes_of_labels(subject.labels, [value])[value]
    sides = zip(box[1:], subject.labels.shape[1:], strict=True)
    grown = (box[0], *(slice(max(0, r.start - step), min(n, r.stop + step)) for r, n in sides))
    mask, near = subject.labels[grown] == value, ndimage.generate_binary_structure(2, 1)[None]
    if step and kind == "erosion":
        mask = ndimage.binary_erosion(mask, near, iterations=step, border_value=1)
    elif step and kind == "dilation":
        mask = ndimage.binary_dilation(mask, near, iterations=step)
    elif step:
        axis, forward = divmod(crc32(f"{subject.name}/{subject.structures[value]}".encode()) % 4, 2)
        way = [0, 0, 0]
        way[1 + axis] = step if forward else -step
        mask = ndimage.shift(mask.astype(np.uint8), way, order=0).astype(bool)
    return Candidate(value, mask, tuple(r.start for r in grown), f"{kind} {step}" if step else "none", "external")


def corrupted_masks(
    model: QualityModel, subject: Subject, kinds: Sequence[str] = KINDS, steps: Sequence[int] = STEPS
) -> pd.DataFrame:
    """Every reference mask (step 0) and the same corrupted step by step (the paper's Fig. 3b, c), a row each.

    Columns: ``subject``, ``patient``, ``structure``, ``kind``, ``step``; ``predicted``, the volumetric DSC as users see
    it, nan when nothing is left; ``aggregated``, before calibration; ``dsc``, the true one; and lists ``slices`` and
    ``slice_dsc``, predicted and true DSC of the slices that hold mask voxels.
    """
    wanted = [("none", 0), *((kind, step) for kind in kinds for step in steps)]
    values = boxes_of_labels(subject.labels, subject.structures)
    masks = [(*how, corrupted(subject, value, *how)) for value in values for how in wanted]
    scores, rows = score_masks(model, subject, [mask for *_, mask in masks]), []
    for (kind, step, mask), score in zip(masks, scores, strict=True):
        box = tuple(slice(c, c + n) for c, n in zip(mask.corner, mask.mask.shape, strict=True))
        reference = subject.labels[box] == mask.value  # the box holds all of it
        by_slice = slice_dice(mask.mask, reference)
        rows.append((
            subject.name, subject.patient, subject.structures[mask.value], kind, step, score.predicted_dsc,
            score.area_weighted_dsc, volume_dice(mask.mask, reference), [s.predicted_dsc for s in score.slices],
            [float(by_slice[s.k - mask.corner[0]]) for s in score.slices],
        ))  # fmt: skip
    columns = "subject patient structure kind step predicted aggregated dsc slices slice_dsc".split()
    return pd.DataFrame(rows, columns=columns).astype({"predicted": float, "aggregated": float})


def series_figures(table: pd.DataFrame) -> list[dict]:
    """By kind: agreement of ``segments`` and ``slices``; ``by_step``: means of predicted and true DSC."""
    return [
        {
            "kind": kind, "subjects": rows["subject"].nunique(), "structures": rows["structure"].nunique(),
            "segments": agreement(*rows[["predicted", "dsc"]].dropna().to_numpy().T),
            "slices": agreement(*(np.concatenate([*rows[name], []]) for name in ("slices", "slice_dsc"))),
            "by_step": [
                {
                    "step": int(step), "masks": len(left), "vanished": len(of_step) - len(left),
                    "predicted": left["predicted"].mean(), "predicted_sd": left["predicted"].std(ddof=0),
                    "true": left["dsc"].mean(), "true_sd": left["dsc"].std(ddof=0),
                }
                for step, of_step in rows.groupby("step") for left in [of_step.dropna(subset="predicted")]
            ],
        }
        for kind in dict.fromkeys(table["kind"])
        if kind != "none"
        for rows in [table[table["kind"].isin(("none", kind))]]
    ]  # fmt: skip


def ordering_figures(table: pd.DataFrame) -> dict:
    """Share of the corrupted masks of :data:`ORDERING` that score below the perfect one, ties counting half.

    ``all``, each kind apart, and ``by_structure``; vanished masks are counted as such and are in no share. The 95 %
    interval is by bootstrap over patients (``None`` for a single one).
    """
    keys = ["subject", "patient", "structure"]
    perfect = table[table["step"] == 0].set_index(keys)["aggregated"].rename("perfect")
    rows = table[table["step"] == table["kind"].map(ORDERING)].join(perfect, on=keys)
    by_kind = {f"{kind} by {ORDERING[kind]}": some for kind, some in rows.groupby("kind", sort=False)}
    return {
        **{name: _ordered(some) for name, some in {"all": rows, **by_kind}.items()},
        "by_structure": {structure: _ordered(some) for structure, some in rows.groupby("structure")},
    }


def _ordered(rows: pd.DataFrame) -> dict:
    left = rows.dropna(subset="aggregated")
    scores, others = left["perfect"].to_numpy(), left["aggregated"].to_numpy()
    better = np.where(scores > others, 1.0, np.where(scores == others, 0.5, 0.0))
    return {
        "n": len(left), "vanished": len(rows) - len(left), "perfect_above": mean(better),
        "perfect_above_95ci": mean_interval(better, left["patient"].to_numpy(str)),
        "true_dsc_of_corrupted": mean(left["dsc"]),
        "auroc": auroc(np.concatenate([scores, others]), np.repeat([True, False], len(left))),
    }  # fmt: skip


def named_masks(model: QualityModel, subject: Subject) -> pd.DataFrame:
    """Every reference mask under its own name, the other side's, and those of other structures of the subject.

    Columns: ``subject``, ``source``, ``mask`` (what it shows), ``name`` (what it was scored as), ``kind`` and
    ``predicted``, the mean of some slices.
    """
    boxes = boxes_of_labels(subject.labels, subject.structures)
    value_of, shown = {subject.structures[value]: value for value in boxes}, []
    for mask, value in value_of.items():
        rng, side = np.random.default_rng(crc32(f"{subject.name}/{mask}".encode())), mirrored_name(mask)
        others = rng.permutation(sorted(set(value_of) - {mask, side}))[:_OTHERS]
        # The name of a side that the scan does not hold can be claimed all the same.
        sides = [side] if side != mask and side in model.table else []
        for kind, names in ((OWN, [mask]), (SIDE, sides), (ANOTHER, others)):
            shown += [(mask, str(name), kind, value) for name in names]
    masks = [
        Candidate(value, subject.labels[boxes[value]] == value, tuple(r.start for r in boxes[value]), kind)
        for *_, kind, value in shown
    ]
    scores = score_masks(model, subject, masks, [name for _, name, *_ in shown], _SLICES)
    rows = [
        (subject.name, subject.source, mask, name, kind, mean([s.predicted_dsc for s in score.slices]))
        for (mask, name, kind, _), score in zip(shown, scores, strict=True)
    ]
    return pd.DataFrame(rows, columns=["subject", "source", "mask", "name", "kind", "predicted"])


def identity_figures(table: pd.DataFrame) -> dict:
    """``all``, ``by_source`` and ``by_structure`` (by the name): mean prediction of own and wrong masks, the AUROC of
    own masks above others under a name, and the side swaps predicted below 0.3.
    """
    return {
        "all": _identity(table),
        "by_source": {name: _identity(rows) for name, rows in table.groupby("source")},
        "by_structure": {name: _identity(rows) for name, rows in table.groupby("name")},
    }


def _identity(rows: pd.DataFrame) -> dict:
    own, side, wrong = (rows[rows["kind"].isin(kinds)] for kinds in ((OWN,), (SIDE,), (SIDE, ANOTHER)))

    def above(right: pd.DataFrame, others: pd.DataFrame) -> float:
        both = pd.concat([right, others])["predicted"]
        return auroc(both.to_numpy(), np.repeat([True, False], [len(right), len(others)]))

    return {
        "subjects": rows["subject"].nunique(), "own": len(own), "wrong": len(wrong), "swaps": len(side),
        "mean_own": mean(own["predicted"]), "mean_wrong": mean(wrong["predicted"]), "auroc": above(own, wrong),
        "auroc_sides": above(own[own["name"].isin(side["name"])], side),
        "swaps_below": mean(side["predicted"] < SWAPPED_BELOW), "highest_swap": float(side["predicted"].max()),
    }  # fmt: skip


def disagreement(
    model: QualityModel, ct: Path, segmentations: Sequence[Path], names: str | None = None
) -> pd.DataFrame:
    """Masks of several networks for one CT: predicted DSC beside the agreement with the other networks' masks.

    A structure counts when at least two networks drew it; a network that left it out takes no part in its agreement.
    In a slice where another network has drawn nothing, the agreement with that network is 0. Rows with ``k`` are
    slices, those without are whole segments; ``network``, ``structure``, ``predicted``, ``agreement``.
    """
    if len(segmentations) < 2:
        raise UsageError("disagreement needs the segmentations of at least two networks")
    volume, scorer, rows = read_ct(ct), Scorer(model), []
    read = [read_segmentation(path, volume, names=names) for path in segmentations]
    drawn = [{s.structure: s for s in segmentation if s.structure and not s.is_empty} for segmentation in read]
    shared = [name for name in dict.fromkeys(n for d in drawn for n in d) if sum(name in d for d in drawn) > 1]
    for number, (path, segmentation) in enumerate(zip(segmentations, read, strict=True)):
        network = Path(path).name.removesuffix(".gz").removesuffix(".nii")
        mine = [drawn[number][name] for name in shared if name in drawn[number]]
        scored = scorer.score(volume, Segmentation(mine, volume.frame, segmentation.source))
        for segment, score in zip(mine, scored.segments, strict=True):
            mask = _whole(segment, volume)
            them = (d for other, d in enumerate(drawn) if other != number)
            others = [_whole(d[segment.structure], volume) for d in them if segment.structure in d]
            by_slice = np.mean([np.nan_to_num(slice_dice(mask, other)) for other in others], axis=0)
            rows += [(network, segment.structure, s.k, s.predicted_dsc, by_slice[s.k]) for s in score.slices]
            agreed = mean([volume_dice(mask, other) for other in others])
            rows.append((network, segment.structure, None, score.predicted_dsc, agreed))
    return pd.DataFrame(rows, columns=["network", "structure", "k", "predicted", "agreement"])


def _whole(segment, volume) -> np.ndarray:
    mask = np.zeros(volume.frame.shape, bool)
    mask[segment.box] = segment.voxels()
    return mask


def disagreement_figures(table: pd.DataFrame) -> dict:
    """Spearman rank correlations of predicted with true agreement.

    ``slices`` and ``segments``: over all; ``within_masks``: the mean over masks (a network's structure) of the
    correlation over the mask's own slices, which differences between structures cannot help; ``by_structure``.
    """
    slices, segments = table.dropna(subset="k").reset_index(drop=True), table[table["k"].isna()]
    members = [rows for rows in slices.groupby(["network", "structure"]).indices.values() if len(rows) >= FEWEST_SLICES]
    within = orders_of(slices["predicted"].to_numpy(), slices["agreement"].to_numpy(), members)
    within = within[np.isfinite(within)]

    def correlated(rows: pd.DataFrame) -> dict:
        return {"n": len(rows), "spearman_r": spearman_r(rows["predicted"], rows["agreement"])}

    return {
        "networks": sorted(set(segments["network"])), "structures": segments["structure"].nunique(),
        "slices": correlated(slices), "segments": correlated(segments),
        "within_masks": {"n": len(within), "mean_spearman_r": mean(within)},
        "by_structure": {
            name: correlated(rows) | {f"mean_{n}": rows[n].mean() for n in ("agreement", "predicted")}
            for name, rows in slices.groupby("structure")
        },
    }  # fmt: skip
