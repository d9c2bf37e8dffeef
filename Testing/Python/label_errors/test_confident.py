"""Confident learning in blocks: equal to cleanlab's, which holds all pixels at once, and to the fixture."""

import numpy as np
import pytest

from QualitySentinelLib.errors import InputError
from QualitySentinelTrainingLib.label_errors.confident import ErrorFinder, confident_joint

cleanlab_filter = pytest.importorskip("cleanlab.filter")

OURS_TO_CLEANLAB = {
    "both": "both", "Qij": "both", "prune_by_class": "prune_by_class", "prune_by_noise_rate": "prune_by_noise_rate",
    "Cij": "confident_learning",
}  # fmt: skip


def noisy(classes=3, pixels=5000, seed=0, decimals=None):
    """Given labels, a tenth of them wrong, and probabilities of a fair network; rounded ones make ties."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(classes, pixels, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    logits = rng.normal(size=(pixels, classes)) + 2.5 * np.eye(classes)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.where(rng.random(pixels) < 0.1, rng.integers(0, classes, pixels), truth)
    return labels, probabilities if decimals is None else probabilities.round(decimals)


def found(labels, probabilities, method, block=700, **options):
    def blocks():
        for start in range(0, len(labels), block):
            yield labels[start : start + block], probabilities[start : start + block]

    finder = ErrorFinder(blocks, confident_joint(blocks, probabilities.shape[1]), method, **options)
    return np.concatenate(list(finder.flags(blocks())))


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("method", OURS_TO_CLEANLAB)
def test_blocks_give_what_cleanlab_gives_at_once(classes, method):
    labels, probabilities = noisy(classes)
    theirs = cleanlab_filter.find_label_issues(
        labels, probabilities, filter_by=OURS_TO_CLEANLAB[method], min_examples_per_class=5, n_jobs=1
    )
    assert theirs.sum() > 50
    np.testing.assert_array_equal(found(labels, probabilities, method, least_kept=5), theirs)


def test_intersection_and_union_are_of_cij_and_qij():
    labels, probabilities = noisy()
    cij, qij = found(labels, probabilities, "Cij"), found(labels, probabilities, "Qij")
    assert (cij != qij).any()
    np.testing.assert_array_equal(found(labels, probabilities, "intersection"), cij & qij)
    np.testing.assert_array_equal(found(labels, probabilities, "union"), cij | qij)


@pytest.mark.parametrize("method", ["prune_by_class", "prune_by_noise_rate", "both"])
def test_ties_do_not_depend_on_the_size_of_blocks(method):
    labels, probabilities = noisy(decimals=1)
    whole = found(labels, probabilities, method, block=len(labels))
    assert 0 < whole.sum() < len(labels)
    np.testing.assert_array_equal(found(labels, probabilities, method, block=37), whole)


def test_with_ties_no_more_pixels_are_flagged_than_the_joint_says():
    labels = np.repeat([0, 1], 1000)
    probabilities = np.tile([[0.9, 0.1], [0.1, 0.9]], (1000, 1))[np.argsort(np.tile([0, 1], 1000), kind="stable")]
    labels[:100] = 1  # a hundred pixels of one and the same probability
    flags = found(labels, probabilities, "prune_by_class")
    assert flags[:100].all() and flags.sum() == 100


def test_a_label_that_the_network_agrees_with_is_never_flagged():
    labels, probabilities = noisy()
    for method in ("both", "union"):
        flags = found(labels, probabilities, method)
        assert not flags[probabilities.argmax(axis=1) == labels].any()


def test_a_class_without_pixels_is_left_alone():
    labels, probabilities = noisy(2)
    wider = np.column_stack([probabilities, np.zeros(len(labels))])
    np.testing.assert_array_equal(found(labels, wider, "both"), found(labels, probabilities, "both"))


@pytest.mark.parametrize("labels", [np.zeros(0, int), np.zeros(9, int)])
def test_labels_of_one_class_are_refused(labels):
    with pytest.raises(InputError, match="one class only"):
        confident_joint(lambda: [(labels, np.full((len(labels), 2), 0.5))], 2)


@pytest.mark.shared_data
def test_equals_the_fixture(shared):
    data = np.load(shared / "fixtures" / "confident_learning_fixture.npz")
    foreground = data["prob_fg"].ravel()
    labels, probabilities = data["noisy_label"].ravel(), np.column_stack([1 - foreground, foreground])

    joint = confident_joint(lambda: [(labels, probabilities)], 2)
    np.testing.assert_array_equal(joint.counts, data["confident_joint_raw"])
    np.testing.assert_array_equal(joint.calibrated, data["confident_joint_calibrated"])
    np.testing.assert_allclose(joint.thresholds, data["thresholds"], rtol=1e-12)
    for method, name in OURS_TO_CLEANLAB.items():
        np.testing.assert_array_equal(
            found(labels, probabilities, method, block=4000), data[f"issues_{name}"].ravel(), err_msg=method
        )
