"""The published loss: weighted squared error plus optimal pair ranking (arXiv 2406.00327)."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import normalize, relu

WEIGHT_STEPS = ((0.3, 7.0), (0.5, 5.0), (0.7, 3.0), (0.9, 2.0))
"""A target DSC up to the first number weighs the second; anything above the last weighs 1."""

RANKING_MARGIN = 1e-4
"""Pairs whose predictions already differ as their targets do, by this product, cost nothing."""


def squared_error_weights(targets: Tensor) -> Tensor:
    """Weight of each target DSC, same shape: bad masks are rare and count for more."""
    weights = torch.ones_like(targets)
    for limit, weight in reversed(WEIGHT_STEPS):
        weights = torch.where(targets <= limit, weight, weights)
    return weights


def weighted_squared_error(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean over the batch of w(t) (p - t)^2; not divided by the sum of weights. Scalar."""
    return (squared_error_weights(targets) * (predictions - targets) ** 2).mean()


def optimal_pairs(embeddings: Tensor) -> np.ndarray:
    """Partner of each item, int64 [B]: the permutation without fixed points that is most alike in text.

    Maximises the sum of cosine similarities of the text ``embeddings`` [B, D] by linear assignment, so that an
    item is compared with one of the same structure where the batch has one.
    """
    unit = normalize(embeddings.detach().float(), dim=1)
    similarity = (unit @ unit.T).cpu().numpy().astype(np.float64)
    np.fill_diagonal(similarity, -np.inf)
    return linear_sum_assignment(similarity, maximize=True)[1]


def pair_ranking(predictions: Tensor, targets: Tensor, embeddings: Tensor) -> Tensor:
    """Mean hinge on (p_i - p_j)(t_i - t_j) over each item i and its partner j. Scalar; 0 for a batch of one."""
    predictions, targets = predictions.flatten(), targets.flatten()
    if len(predictions) < 2:
        return predictions.sum() * 0.0
    partner = torch.as_tensor(optimal_pairs(embeddings), device=predictions.device)
    agreement = (predictions - predictions[partner]) * (targets - targets[partner])
    return relu(RANKING_MARGIN - agreement).mean()


def published_loss(predictions: Tensor, targets: Tensor, embeddings: Tensor) -> Tensor:
    """Both terms, weighted 1:1 as published. ``predictions`` and ``targets`` are [B] or [B, 1]."""
    return weighted_squared_error(predictions.flatten(), targets.flatten()) + pair_ranking(
        predictions, targets, embeddings
    )


def our_loss(predictions: Tensor, targets: Tensor, embeddings: Tensor) -> Tensor:
    """Plain squared error plus pair ranking: without the published weights, which pull every prediction down.

    The weights count an error on a bad mask up to seven times, so the best prediction for a doubtful slice is lower
    than its expected DSC; a reader who is given the number wants the expectation.
    """
    return ((predictions.flatten() - targets.flatten()) ** 2).mean() + pair_ranking(predictions, targets, embeddings)
