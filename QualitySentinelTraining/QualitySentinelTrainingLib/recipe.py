"""What the bundled model is made of: preset, text encoder, structures, architectures."""

from __future__ import annotations

from dataclasses import replace

from QualitySentinelLib.anatomy import all_structures
from QualitySentinelLib.checkpoint import QualityModel
from QualitySentinelLib.network import build_network
from QualitySentinelLib.slices import COMPACT
from QualitySentinelLib.slices.place import TOLD
from QualitySentinelLib.text import EmbeddingTable, SentenceEncoder, TextEncoder

PRESET = COMPACT
"""Preprocessing of what we train."""

ARCHITECTURES = ("compact", "resnet50")


def embedding_table(encoder: TextEncoder | None = None) -> EmbeddingTable:
    """Embeddings of every structure we know; by default those of the sentence encoder that ships as a package."""
    return EmbeddingTable.from_encoder(encoder or SentenceEncoder(), [structure.name for structure in all_structures()])


def new_model(architecture: str = "compact", encoder: TextEncoder | None = None) -> QualityModel:
    """An untrained model, named as its architecture: ``"compact"``, or ``"resnet50"`` (as published), to compare."""
    table = embedding_table(encoder)
    dimension = table.vectors.shape[1]
    if architecture == "compact":
        preset = PRESET
        description = {
            "kind": "compact",
            "embedding_dim": dimension,
            "in_channels": preset.channels,
            "mask_channel": preset.mask_channel,
            "told_dim": TOLD,
        }
    else:
        # The published network has one CT channel and no neighbour: it gets the soft-tissue window and the mask.
        preset = replace(
            PRESET, name=f"compact, {architecture}", windows=PRESET.windows[:1], neighbour=False, locator=0
        )
        description = {"kind": "published", "backbone": architecture, "hidden_dim": 50, "embedding_dim": dimension}
    return QualityModel(
        name=architecture,
        network=build_network(description),
        architecture=description,
        preset=preset,
        table=table,
        metadata={"structures": list(table.names)},
    )
