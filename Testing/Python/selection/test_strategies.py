"""Strategies on masks and probabilities so small that their scores can be counted."""

from pathlib import Path

import numpy as np
import pytest

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status
from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelTrainingLib.segmentation.probabilities import likeliest
from QualitySentinelTrainingLib.selection import strategies
from QualitySentinelTrainingLib.selection.crf import checked_mask, crf_mask
from QualitySentinelTrainingLib.selection.image import PoolImage, mask_disagreement, segmentation_of
from QualitySentinelTrainingLib.selection.strategies import NEEDS, STRATEGIES
from QualitySentinelTrainingLib.selection.strategies.entropy import binary_entropy
from QualitySentinelTrainingLib.selection.strategies.mc_dropout import edge_distance
from QualitySentinelTrainingLib.selection.strategies.predicted_gain import expected_gains

CLASSES = ("background", "liver")
SHAPE = (3, 6, 6)


def image_of(*stacks, masks=(), names=CLASSES):
    frame = AxialFrame.from_affine(np.diag([-1.0, -1.0, 2.0, 1.0]), SHAPE)
    ct = CtVolume(np.zeros(SHAPE, np.int16), frame, "tiny")
    made = [segmentation_of(labels, names, ct) for labels in masks]
    return PoolImage(ct, made, lambda need: iter(stacks), CLASSES)


def stack(foreground):
    foreground = np.asarray(foreground, np.float32)
    return np.stack([1 - foreground, foreground])


def square(rows, value=1.0, k=(1,)):
    p = np.zeros(SHAPE)
    p[list(k), :rows, :2] = value
    return p


def measured(name, *stacks, masks=()):
    return STRATEGIES[name].measure(image_of(*stacks, masks=masks))[0]


def test_deep_supervision_is_the_mean_dice_of_the_heads_with_the_main_output():
    one = measured("deep-supervision", stack(square(4)), stack(square(2)), stack(square(4)))
    s = ((2 * 4 + 1) / (8 + 4 + 1) + 1) / 2
    assert one.slices.tolist() == [1] and one.score == pytest.approx([1 - s]) and one.whole == pytest.approx(1 - s)
    assert one.confidence == pytest.approx([0.5])


def test_heads_that_find_nothing_are_unknown_not_certain():
    one = measured("deep-supervision", *[stack(square(0))] * 3)
    assert np.isnan(one.whole) and len(one.slices) == 0
    published, by_slice = mask_disagreement([(square(0) > 0.5, square(0) > 0.5)], smooth=1.0)
    assert published == 0 and not by_slice.any()  # what the published code says of them: certain


def test_entropy_is_that_of_the_plausible_voxels():
    one = measured("entropy", stack(square(2, 0.9) + square(2, 0.5, (2,))))
    assert one.score == pytest.approx([binary_entropy(np.array(0.9)), 1.0], abs=1e-3)
    assert one.slices.tolist() == [1, 2] and one.area.tolist() == [4, 0]


def test_variance_over_passes():
    one = measured("mc-dropout", stack(square(2)), stack(square(2, 0.6)))
    assert one.score == pytest.approx([4 * 0.2**2], rel=1e-3)
    assert measured("mc-dropout", stack(square(2)), stack(square(2))).score == pytest.approx([0], abs=1e-6)


def test_voxels_far_from_the_edge_weigh_more():
    mask = np.zeros((1, 9, 9), np.float32)
    mask[0, 2:7, 2:7] = 1
    distance = edge_distance(mask, (1.0, 1.0))[0]
    assert distance[4, 4] == 3 and distance[2, 2] == 1 and distance[4, 1] == 1


def test_networks_disagree_by_their_masks():
    one = measured("disagreement", stack(square(4)), stack(square(2)), stack(square(4)))
    assert one.whole == pytest.approx(1 - (2 * 4 / 12 + 1 + 2 * 4 / 12) / 3)
    files = measured("disagreement", masks=[likeliest(stack(square(4))), likeliest(stack(square(2)))])
    assert files.whole == pytest.approx(1 - 8 / 12)


def test_label_quality_is_that_of_the_given_masks():
    given, p = likeliest(stack(square(4))), stack(square(2, 0.9))  # two of four rows are not what the network expects
    one = measured("label-quality", p, masks=[given])
    assert one.slices.tolist() == [1] and one.area.tolist() == [8] and one.whole == pytest.approx(one.score[0])
    assert one.score[0] > 0.99  # a few that are surely wrong decide
    assert measured("label-quality", p).score == pytest.approx([0.1], abs=1e-3)  # its own masks: as sure as it is
    assert np.isnan(measured("label-quality", stack(square(0))).whole)


def test_label_quality_leaves_out_structures_that_the_network_does_not_know():
    given, p = np.uint8(square(4) + square(2)), stack(square(2, 0.9))  # 2: a structure beside the liver
    both = image_of(p, masks=[given], names=("background", "liver", "table"))
    assert [one.structure for one in STRATEGIES["label-quality"].measure(both)] == ["liver"]
    other = image_of(p, masks=[given], names=("background", "spleen", "table"))
    with pytest.raises(InputError, match="tiny: has only masks of spleen, table; the network knows none"):
        STRATEGIES["label-quality"].measure(other)


def test_random_and_variety_need_no_network():
    mask = likeliest(stack(square(2, k=(0, 1))))
    one = measured("random", masks=[mask])
    assert one.slices.tolist() == [0, 1] and one.whole == 0
    assert measured("core-set", masks=[mask]).features.shape == (2, 64)
    assert image_of(masks=[mask]).features.shape == (512,)


def test_every_strategy_says_what_it_needs_and_costs(repository):
    files = {p.stem for p in Path(strategies.__file__).parent.glob("[a-z]*.py")} - {"strategy"}
    table = (repository / "docs" / "SELECTION.md").read_text(encoding="utf-8")
    assert len(STRATEGIES) == len(files)
    assert all(s.needs in NEEDS and s.cost and s.reason and f"`{s.name}`" in table for s in STRATEGIES.values())


def test_the_crf_follows_the_picture_and_is_used_only_where_it_hardly_differs():
    gray = np.zeros((20, 20))
    gray[5:15, 5:15] = 255
    truth = gray > 0
    p = np.where(truth, 0.9, 0.05)
    p[5, 5] = 0.4  # a corner that the picture says is inside
    refined = crf_mask(p, gray)
    assert refined[5, 5] and (refined == truth).all()
    assert (checked_mask(p, gray) == refined).all()
    worse = np.where(np.indices((20, 20))[1] < 10, p, 0.05)  # half of it lost: too different to be believed
    assert (checked_mask(worse, gray) == (worse > 0.5)).all()
    assert not crf_mask(np.zeros((8, 8)), np.zeros((8, 8))).any()


def test_the_expected_gain_weighs_a_slice_by_its_area():
    told = [(0.5, 30.0), (0.2, 10.0)]
    slices = [SliceScore("1", k, k, 0.0, dsc, dsc, area, "") for k, (dsc, area) in enumerate(told)]
    score = CaseScore([SegmentScore("1", "liver", "liver", Status.SCORED, 2, 0.4, slices=slices)], 0.8)
    assert expected_gains(score)[0] == pytest.approx([30 * 0.5 / 40, 10 * 0.8 / 40])
