"""Evaluation tables of invented subjects, whose errors grow as the masks get worse; a tiny network to train."""

import numpy as np
import pytest

STRUCTURES = np.array(["liver", "spleen", "kidney left"])
KINDS = np.array(["erosion", "shift + leak", "elastic"])


@pytest.fixture(scope="session")
def make_table():
    """A function ``(seed, persons=30, masks=12, prefix="p") -> EvaluationTable``.

    Each mask has 8 masked slices and 2 empty ones on either side. One mask in seven is perfect. The prediction's error
    has a standard deviation of 0.02 for perfect slices and of 0.22 for wholly wrong ones. Four in ten of the empty
    slices are missed ones; predictions for them lie about 0.3, for the rightly empty about 0.8.
    """
    from QualitySentinelTrainingLib.evaluation import EvaluationTable

    def make(seed: int, persons: int = 30, masks: int = 12, prefix: str = "p") -> EvaluationTable:
        rng = np.random.default_rng(seed)
        slices = 12
        segments, n = persons * masks, persons * masks * slices
        segment = np.repeat(np.arange(segments), slices)
        patient = np.array([f"{prefix}{i}" for i in segment // masks])
        mask, k = segment % masks, np.tile(np.arange(slices), segments)
        perfect = (rng.random(segments) < 1 / 7)[segment]
        level = (1 - rng.beta(1.2, 3, segments))[segment]
        dsc = np.where(perfect, 1.0, np.clip(level + rng.normal(0, 0.08, n), 0, 1))
        predicted = dsc + rng.normal(0, 1, n) * (0.02 + 0.2 * (1 - dsc))
        empty = (k < 2) | (k >= 10)
        missed = empty & (rng.random(n) < 0.4)
        predicted = np.where(empty, np.where(missed, 0.3, 0.8) + rng.normal(0, 0.15, n), predicted)
        area = np.where(empty, 0, rng.integers(20, 200, n))
        volume = np.bincount(segment, area * dsc) / np.bincount(segment, area)
        return EvaluationTable(
            dsc=np.where(empty, ~missed, dsc), predicted=predicted, structure=STRUCTURES[mask % 3],
            kind=np.where(perfect, "none", KINDS[mask % 3]), origin=np.where(mask % 4, "simulated", "network"),
            subject=patient, source=np.full(n, "invented"), patient=patient, mask=mask,
            stage=np.where(mask % 4, -1, 10),
            k=k, area=area, reference_area=np.where(empty, 50 * missed, 60), nearest_area=np.where(empty, 40, area),
            volume_dsc=volume[segment], gap_mm=np.where(empty, 3.0, 0.0), inner=empty & (k == 1),
            voxel_mm3=np.full(n, 3.0), pixel_mm=np.ones(n),
        )  # fmt: skip

    return make


@pytest.fixture
def a_tiny_network(monkeypatch):
    """Train a network of a few thousand weights in place of the real ones."""
    from QualitySentinelLib.checkpoint import QualityModel
    from QualitySentinelLib.network import build_network
    from QualitySentinelLib.slices import COMPACT
    from QualitySentinelLib.text import EmbeddingTable

    def untrained(options):
        architecture = {
            "kind": "compact", "embedding_dim": 4, "in_channels": COMPACT.channels,
            "mask_channel": COMPACT.mask_channel, "widths": [4, 8, 8, 8], "blocks": [1, 1, 1, 1], "map_width": 8,
            "condition_dim": 8, "head_dim": 8,
        }  # fmt: skip
        table = EmbeddingTable("random", "{}", ("liver", "spleen"), np.eye(2, 4, dtype=np.float32))
        return QualityModel("tiny", build_network(architecture), architecture, COMPACT, table)

    monkeypatch.setattr("QualitySentinelTrainingLib.commands.train.untrained", untrained)
