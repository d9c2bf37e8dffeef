"""The loss equals the published one, in value and gradient."""

import numpy as np
import pytest
import torch

from QualitySentinelTrainingLib.loss import (
    optimal_pairs,
    pair_ranking,
    shares_loss,
    squared_error_weights,
    weighted_squared_error,
)

BATCHES = ["a_mixed16", "b_dups12", "c_pair2", "d_three", "e_allsame5", "f_128"]


@pytest.fixture
def published_batch(shared):
    file = np.load(shared / "fixtures" / "loss_fixture.npz")
    table = torch.from_numpy(np.load(shared / "fixtures" / "label_embedding_145x512_f32.npy"))

    def batch(name):
        values = {key.removeprefix(f"{name}__"): file[key] for key in file.files if key.startswith(f"{name}__")}
        predictions = torch.tensor(values["pred"], requires_grad=True)
        return predictions, torch.tensor(values["target"]), table[values["ids"]], values

    return batch


@pytest.mark.parametrize("name", BATCHES)
def test_weighted_squared_error_and_its_gradient_equal_the_published_ones(published_batch, name):
    predictions, targets, _, expected = published_batch(name)
    loss = weighted_squared_error(predictions, targets)
    loss.backward()
    assert loss.item() == pytest.approx(float(expected["wmse_loss"]), abs=1e-6)
    np.testing.assert_allclose(predictions.grad.numpy(), expected["wmse_grad"], atol=1e-6)


@pytest.mark.parametrize("name", BATCHES)
def test_pair_ranking_and_its_gradient_equal_the_published_ones(published_batch, name):
    predictions, targets, embeddings, expected = published_batch(name)
    loss = pair_ranking(predictions, targets, embeddings)
    loss.backward()
    assert loss.item() == pytest.approx(float(expected["rank_loss"][0]), abs=1e-6)
    np.testing.assert_allclose(predictions.grad.numpy(), expected["rank_grad"], atol=1e-6)


def test_nothing_is_paired_with_itself_and_like_structures_are_paired():
    liver, spleen = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    partner = optimal_pairs(torch.stack([liver, spleen, liver, spleen]))
    assert partner.tolist() == [2, 3, 0, 1]


def test_a_batch_of_one_has_no_ranking_loss_and_still_trains():
    predictions = torch.tensor([0.4], requires_grad=True)
    targets, embeddings = torch.tensor([0.9]), torch.ones(1, 4)
    (weighted_squared_error(predictions, targets) + pair_ranking(predictions, targets, embeddings)).backward()
    assert predictions.grad.item() < 0


def test_worse_masks_weigh_more():
    weights = squared_error_weights(torch.tensor([0.0, 0.3, 0.31, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]))
    assert weights.tolist() == [7, 7, 5, 5, 3, 3, 2, 2, 1]


def test_what_is_drawn_beside_the_mask_costs_nothing_where_the_reference_is_unknown_there():
    masks, reference = -torch.ones(2, 8, 8), torch.zeros(2, 8, 8)
    masks[:, :, :4] = 1.0
    logits = torch.zeros(2, 2, 4, 4)
    beside = logits.clone()
    beside[:, 1] = 3.0
    inside = logits.clone()
    inside[:, 0] = 3.0
    known, unknown = torch.ones(2), torch.zeros(2)
    assert torch.isclose(shares_loss(beside, masks, reference, unknown), shares_loss(logits, masks, reference, unknown))
    assert shares_loss(beside, masks, reference, known) > shares_loss(logits, masks, reference, known)
    assert shares_loss(inside, masks, reference, unknown) > shares_loss(logits, masks, reference, unknown)
    assert torch.isclose(shares_loss(beside, masks, reference), shares_loss(beside, masks, reference, known))
