"""The published checkpoint, as users download it: a ``.pth`` state dict and ``label_embedding.pkl``."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import warnings
import zipfile
from pathlib import Path

import numpy as np
import torch

from ..anatomy import all_structures
from ..bundled import EMBEDDINGS_NAME
from ..errors import ModelError, reason_of
from ..files import sha256_of
from ..network import build_network
from ..network.published import architecture_of, unused_shapes, without_unused
from ..slices import PUBLISHED
from ..text.table import EmbeddingTable
from .model import QualityModel, filled
from .restricted_pickle import read_label_embeddings

_FILE_BYTES = 2 << 30
_FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
_NO_STRUCTURE = {0: "background", 1: "left to annotate"}
"""Labels of the published table that are no structures."""


def load_published(path: str | os.PathLike, embeddings: str | os.PathLike | None = None) -> QualityModel:
    """The published model, with the published preprocessing; its backbone is found by the checkpoint's tensors.

    ``path`` is a bare state dict, ``embeddings`` by default the ``label_embedding.pkl`` beside it.

    Raises:
        ModelError: one line that names the file that is missing, damaged, hostile, or not what it should be.
    """
    path = Path(path)
    beside = path.parent / EMBEDDINGS_NAME
    if embeddings is None and not beside.is_file():
        raise ModelError(f"{path}: a published checkpoint needs its {EMBEDDINGS_NAME}; give --embeddings PATH")
    embeddings = Path(embeddings) if embeddings is not None else beside
    state = read_state_dict(path)
    try:
        architecture = architecture_of(state)
        network = _network(architecture, state)
    except (ValueError, ModelError) as error:
        raise ModelError(f"{path}: not a usable published checkpoint: {error}") from error
    vectors = read_label_embeddings(embeddings)
    try:
        table = _table(vectors)
    except ModelError as error:
        raise ModelError(f"{embeddings}: not the published embeddings: {error}") from error
    if table.vectors.shape[1] != architecture["embedding_dim"]:
        raise ModelError(
            f"{embeddings}: its embeddings have {table.vectors.shape[1]} numbers, "
            f"the checkpoint needs {architecture['embedding_dim']}; use the files that belong together"
        )
    digest = hashlib.sha256((sha256_of(path) + sha256_of(embeddings)).encode()).hexdigest()
    metadata = {"source": "published checkpoint", "structures": list(table.names)}
    return QualityModel(path.stem, network, architecture, PUBLISHED, table, metadata, digest, path)


def read_state_dict(path: str | os.PathLike) -> dict[str, torch.Tensor]:
    """The tensors of a ``.pth`` state dict, through torch's own reader restricted to weights.

    Raises:
        ModelError: it cannot be read, is too large, holds anything but named tensors, or asks for code.
    """
    path = Path(path)
    try:
        size = os.stat(path).st_size
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:  # a compressed archive could unpack to any size
                size = max(size, sum(entry.file_size for entry in archive.infolist()))
        if size > _FILE_BYTES:
            raise ModelError(f"{path}: {size >> 20} MB is larger than any published checkpoint; use the published file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch remarks on unusual pickles; refusals are one line, and it is ours
            state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read ({error.strerror or error}); check the path") from error
    except ModelError:
        raise
    except pickle.UnpicklingError as error:
        reason = _refusal(str(error))
        raise ModelError(f"{path}: refused: {reason}; get the published file again") from error
    except Exception as error:  # torch's readers raise nearly anything on damaged files
        raise ModelError(
            f"{path}: not a readable checkpoint ({reason_of(error, 120)}); get the published file again"
        ) from error
    if not isinstance(state, dict) or not state:
        raise ModelError(f"{path}: not a state dict; use the published .pth file")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor) or value.layout is not torch.strided:
            raise ModelError(f"{path}: not a state dict of plain tensors; use the published .pth file")
    return dict(state)


def _refusal(message: str) -> str:
    """What torch's restricted reader objected to, without its advice to load the file unrestricted."""
    found = re.search(r"(?:GLOBAL|class|function) ([\w.]+)", message)
    if found:
        return f"it asks for {found[1][:100]}, which weights do not need; the file may be an attack"
    return "it is not a plain file of weights"


def _network(architecture: dict, state: dict[str, torch.Tensor]) -> torch.nn.Module:
    with torch.device("meta"):
        network = build_network(architecture)
    expected = network.state_dict()
    allowed = {key: tuple(value.shape) for key, value in expected.items()} | unused_shapes(architecture["backbone"])
    for key, value in state.items():
        if allowed.get(key) != tuple(value.shape):
            raise ValueError(f"{key[:100]} has shape {tuple(value.shape)}, which does not belong there")
    used = without_unused(state)
    for key, value in used.items():
        if value.dtype not in (_FLOATS if expected[key].is_floating_point() else {torch.int64}):
            raise ValueError(f"{key} has the unexpected type {value.dtype}")
    return filled(network, {key: value.clone() for key, value in used.items()})


def _table(vectors: dict[int, np.ndarray]) -> EmbeddingTable:
    """The published vectors under our structure names, in the order of their labels."""
    labels = {name: label for label, name in _NO_STRUCTURE.items()} | {s.name: s.dap_id for s in all_structures()}
    rows = sorted((label, name) for name, label in labels.items() if label in vectors)
    if not rows:
        raise ModelError("none of its labels is a structure")
    return EmbeddingTable(
        encoder="CLIP text encoder (published table)",
        prompt="",  # the prompt was never published
        names=tuple(name for _, name in rows),
        vectors=np.stack([vectors[label] for label, _ in rows]),
    )
