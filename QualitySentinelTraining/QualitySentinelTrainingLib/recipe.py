"""What the bundled model is made of: preset, text encoder, structures, architectures."""

from __future__ import annotations

from dataclasses import replace

from QualitySentinelLib.anatomy import all_structures
from QualitySentinelLib.checkpoint import QualityModel
from QualitySentinelLib.network import build_network
from QualitySentinelLib.slices import COMPACT
from QualitySentinelLib.text import EmbeddingTable
from QualitySentinelLib.text.sentence_encoder import SentenceEncoder

PRESET = COMPACT
"""Preprocessing of what we train."""

NAME = "quality-sentinel-compact-0.1"


def embedding_table() -> EmbeddingTable:
    """Embeddings of every structure we know, by the sentence encoder that ships as a package."""
    return EmbeddingTable.from_encoder(SentenceEncoder(), [structure.name for structure in all_structures()])


def new_model(architecture: str = "compact") -> QualityModel:
    """An untrained model: ``"compact"``, or ``"resnet50"`` for comparison (the published network on our preset)."""
    table = embedding_table()
    dimension = table.vectors.shape[1]
    if architecture == "compact":
        name, preset = NAME, PRESET
        description = {"kind": "compact", "embedding_dim": dimension, "in_channels": preset.channels}
    else:
        # The published network has one CT channel: it gets the soft-tissue window.
        name, preset = (
            f"{NAME}-{architecture}",
            replace(PRESET, name=f"compact, {architecture}", windows=PRESET.windows[:1]),
        )
        description = {"kind": "published", "backbone": architecture, "hidden_dim": 50, "embedding_dim": dimension}
    return QualityModel(
        name=name,
        network=build_network(description),
        architecture=description,
        preset=preset,
        table=table,
        metadata={"structures": list(table.names)},
    )
