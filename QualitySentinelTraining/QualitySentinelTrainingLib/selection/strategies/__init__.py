"""How strategies judge the pool: one file each, and the list of all."""

from . import area, core_set, deep_supervision, disagreement, entropy, label_quality, mc_dropout  # isort: skip
from . import predicted_gain, predicted_quality, quality_diversity, random  # isort: skip
from .strategy import NEEDS, Strategy

STRATEGIES: dict[str, Strategy] = {
    module.STRATEGY.name: module.STRATEGY
    for module in (
        predicted_quality, predicted_gain, entropy, mc_dropout, disagreement, deep_supervision, label_quality,
        core_set, quality_diversity, area, random,
    )
}  # fmt: skip
