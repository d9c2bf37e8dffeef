"""The published loss: weighted squared error plus optimal pair ranking (arXiv 2406.00327)."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize, relu, softplus

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


def shares_loss(logits: Tensor, masks: Tensor, reference: Tensor, known: Tensor | None = None) -> Tensor:
    """Cross-entropy of where a network says the reference is, mean over pixels. Scalar.

    Every pixel of the half-resolution maps is a part m covered by the mask and a rest; the network says which share of
    each belongs to the reference, and each share's cross-entropy counts by the area that it speaks of.

    Args:
        logits: [B, 2, S/2, S/2]: share inside the mask, share outside it.
        masks: [B, S, S] as the network sees them, -1 outside and 1 inside.
        reference: [B, S, S], share of each pixel covered by the reference, 0..1.
        known: [B], 1 where the reference is known outside the mask too (the default), 0 where it is known inside only.
    """
    mask = (masks + 1.0) * 0.5
    both = torch.minimum(mask, reference)
    rest = 1.0 - mask if known is None else (1.0 - mask) * known[:, None, None]
    areas = avg_pool2d(torch.stack((mask, rest), dim=1), 2)
    shared = avg_pool2d(torch.stack((both, reference - both), dim=1), 2)
    return (areas * softplus(logits) - shared * logits).sum(dim=1).mean()


def identity_loss(logits: Tensor, identity: Tensor) -> Tensor:
    """Cross-entropy of a gate, mean over the pairs of which it is known whether the name is right. Scalar.

    ``logits`` and ``identity`` are [B]: 1 right, 0 wrong, -1 not known.
    """
    known = identity >= 0
    losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, identity.clamp(min=0), reduction="none")
    return (losses * known).sum() / known.sum().clamp(min=1)
