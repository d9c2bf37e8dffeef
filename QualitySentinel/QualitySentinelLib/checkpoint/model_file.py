"""Finding, reading and writing models. Ours are one ``.safetensors`` with a JSON header: reading it runs no code."""

from __future__ import annotations

import itertools
import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..bundled import BUNDLED, CHECKPOINT_SUFFIXES, bundled_models
from ..errors import ModelError, reason_of
from ..files import atomic_file, sha256_of
from ..network import build_network
from ..slices import Preset
from ..slices.place import TOLD
from ..text.table import EmbeddingTable
from .model import QualityModel, filled

HEADER_KEY = "quality_sentinel"
"""Key of the safetensors metadata that holds our JSON header."""
FORMAT_VERSION = 1
_VECTORS = "embeddings.vectors"
_NETWORK = "network."
_HEADER_BYTES = 16 << 20
_FILE_BYTES = 2 << 30
_FLOATS = ("F16", "BF16", "F32")
_CURVES = {
    "slice": ("predicted", "low", "high"), "segment": ("aggregated", "dsc", "low", "high"),
    "flags": ("threshold", "share"),
}  # fmt: skip
"""Calibration curves by what they calibrate: columns of knots, the first ascending."""
_KNOTS = (2, 64)
_MISSED = {"threshold": (0.0, 1.0), "inner_threshold": (0.0, 1.0), "false_flags": (0.0, 1.0), "reach_mm": (0.0, 100.0)}
"""Numbers about missed slices, each of which may be absent, and the ranges they must lie in."""


def load_model(
    source: str | os.PathLike | QualityModel = BUNDLED, embeddings: str | os.PathLike | None = None
) -> QualityModel:
    """Load a model.

    Args:
        source: ``"bundled"``, a ``.safetensors`` file of ours, or a published ``.pth`` checkpoint. A model that was
            loaded already is returned as it is.
        embeddings: ``label_embedding.pkl`` that belongs to a published checkpoint; without it, a file of that name
            beside the checkpoint is taken.

    Raises:
        ModelError: one line that names the file and what is wrong with it.
    """
    if isinstance(source, QualityModel):
        return source
    if os.fspath(source) == BUNDLED:
        return load_model_file(bundled_model_path())
    path = Path(source)
    if not path.is_file():
        raise ModelError(f"{path}: there is no such model file; give a .safetensors or .pth file, or 'bundled'")
    if path.suffix.lower() in CHECKPOINT_SUFFIXES:
        from .published import load_published  # needs torchvision; not for our own models

        return load_published(path, embeddings)
    return load_model_file(path)


def bundled_model_path() -> Path:
    """The model file that comes with the program.

    Raises:
        ModelError: it is missing, or there is more than one.
    """
    found = bundled_models()
    if len(found) != 1:
        state = f"holds {len(found)} model files instead of one" if found else "holds no model file"
        raise ModelError(f"the folder of bundled models {state}; install Quality Sentinel again, or give --model PATH")
    return found[0]


def save_model(model: QualityModel, path: str | os.PathLike, half: bool = False) -> Path:
    """Write ``model`` whole to a ``.safetensors`` file; returns its path.

    With ``half``, matrices, kernels and embeddings are stored as float16: half the size, and they are computed with as
    float32 all the same. Biases and normalization statistics stay float32.

    Raises:
        ModelError: weights are not finite, or too large for float16.
        InputError: the file cannot be written.
    """
    path = Path(path)
    tensors = {_NETWORK + key: value for key, value in model.network.state_dict().items()}
    tensors[_VECTORS] = torch.from_numpy(np.array(model.table.vectors, dtype=np.float32))
    for key, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous().clone()
        if tensor.is_floating_point():
            tensor = tensor.to(torch.float16 if half and tensor.ndim >= 2 else torch.float32)
            if not torch.isfinite(tensor).all():
                raise ModelError(f"{path}: not written, {key} holds NaN or infinite values: the training has diverged")
        tensors[key] = tensor
    header = {
        "version": FORMAT_VERSION,
        "name": model.name,
        "architecture": model.architecture,
        "preset": model.preset.to_json(),
        "table": {"encoder": model.table.encoder, "prompt": model.table.prompt, "names": list(model.table.names)},
        "metadata": model.metadata,
    }
    text = json.dumps(header, ensure_ascii=False, sort_keys=True)
    with atomic_file(path) as temporary:
        save_file(tensors, str(temporary), metadata={HEADER_KEY: text, "format": "pt"})
    return path


def load_model_file(path: str | os.PathLike) -> QualityModel:
    """Read a model that :func:`save_model` wrote; the network is float32, on the CPU and in eval mode.

    Raises:
        ModelError: one line that names the file: missing, corrupt, not a model of ours, of an unknown architecture,
            with missing, superfluous, misshapen or non-finite tensors, or larger than any model of ours.
    """
    path = Path(path)
    try:
        _check_sizes(path)
        with safe_open(str(path), framework="pt", device="cpu") as file:
            header = _header(file.metadata())
            architecture, network = _network(header, {key: file.get_slice(key) for key in file.keys()})
            tensors = {key: file.get_tensor(key) for key in file.keys()}
        table = _table(header, tensors.pop(_VECTORS).float().numpy())
        filled(network, {key.removeprefix(_NETWORK): value for key, value in tensors.items()})
        preset = Preset.from_json(header["preset"])
        if preset.channels != network.in_channels:
            raise ModelError(f"the preset makes {preset.channels} channels, the network takes {network.in_channels}")
        if getattr(network, "mask_channel", preset.mask_channel) != preset.mask_channel:
            raise ModelError(
                f"the preset's mask is channel {preset.mask_channel}, the network's {network.mask_channel}"
            )
        if (told := getattr(network, "told_dim", 0)) not in (0, TOLD if preset.locator else 0):
            raise ModelError(f"the network needs {told} numbers of a mask's place, which the preset does not give")
        metadata = _metadata(header)
        return QualityModel(header["name"], network, architecture, preset, table, metadata, sha256_of(path), path)
    except ModelError as error:
        raise ModelError(f"{path}: not a usable model: {error}") from error
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read ({error.strerror or error}); check the path") from error
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, RecursionError, MemoryError) as error:
        raise ModelError(f"{path}: the model file is damaged or not ours ({reason_of(error)}); get it again") from error


def _check_sizes(path: Path) -> None:
    size = os.stat(path).st_size
    if size > _FILE_BYTES:
        raise ModelError(f"{size >> 20} MB is larger than any model of ours")
    with open(path, "rb") as stream:
        start = stream.read(8)
    if len(start) < 8 or not 0 < struct.unpack("<Q", start)[0] <= min(_HEADER_BYTES, size - 8):
        raise ModelError("it is no safetensors file, or cut short; get it again")


def _header(metadata: dict[str, str] | None) -> dict:
    text = (metadata or {}).get(HEADER_KEY)
    if text is None:
        raise ModelError("a safetensors file, but without the header of Quality Sentinel")
    try:
        header = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise ModelError(f"its header is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise ModelError("its header is not a JSON object")
    if header.get("version") != FORMAT_VERSION:
        raise ModelError(f"its format version is {header.get('version')!r}, this program reads {FORMAT_VERSION}"[:200])
    for key in ("architecture", "preset", "table"):
        if not isinstance(header.get(key), dict):
            raise ModelError(f"its header lacks {key!r}")
    return header


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _network(header: dict, found: dict) -> tuple[dict, torch.nn.Module]:
    """The network on ``meta``, where a hostile architecture costs no memory; its keys and shapes are the file's."""
    architecture = header["architecture"]
    if architecture.get("kind") == "pyramid":  # its name in files of before 0.7
        architecture = architecture | {"kind": "compact"}
    with torch.device("meta"):
        network = build_network(architecture)
    expected = {_NETWORK + key: value for key, value in network.state_dict().items()}
    names = len(header["table"].get("names", ()))
    expected[_VECTORS] = torch.empty(names, network.embedding_dim, device="meta")
    missing, strange = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing:
        raise ModelError(f"{len(missing)} tensors are missing, the first is {missing[0]}")
    if strange:
        raise ModelError(f"{len(strange)} tensors belong to another architecture, the first is {strange[0]}"[:300])
    for key, tensor in expected.items():
        if list(found[key].get_shape()) != list(tensor.shape):
            raise ModelError(f"{key} has shape {found[key].get_shape()}, the architecture needs {list(tensor.shape)}")
        if found[key].get_dtype() not in (_FLOATS if tensor.is_floating_point() else ("I64",)):
            raise ModelError(f"{key} has the unexpected type {found[key].get_dtype()}")
    return architecture, network


def _metadata(header: dict) -> dict:
    metadata = header.get("metadata", {})
    if not isinstance(metadata, dict) or not isinstance(header.get("name"), str):
        raise ModelError("its name or metadata are invalid")
    _check_calibration(metadata.get("calibration", {}))
    return metadata


def _check_calibration(calibration: Any) -> None:
    """Refuse a calibration that scores cannot be read off; keys of other versions are left alone."""

    def check(fits: bool, what: str) -> None:
        if not fits:
            raise ModelError(f"its calibration {what}")

    def within(value: object, least: float = 0.0, most: float = 1.0) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most

    check(isinstance(calibration, dict), "is not a table")
    check(within(calibration.get("coverage", 0.0)), "has a coverage that is not a number from 0 to 1")
    few = calibration.get("few") or {"known": [], "patients": 0}
    fits = isinstance(few, dict) and isinstance(few.get("known"), list) and isinstance(few.get("patients"), int)
    check(fits and all(isinstance(n, str) for n in few["known"]), "has few without known structures and patients")
    for part, (name, columns) in itertools.product((calibration, few), _CURVES.items()):
        curve = part.get(name)
        if curve is None:
            continue
        knots = [curve.get(column) for column in columns] if isinstance(curve, dict) else [None]
        numbers = all(isinstance(column, list) and all(map(within, column)) for column in knots)
        check(numbers, f"has {name} without {', '.join(columns)} as lists of numbers from 0 to 1")
        fits = _KNOTS[0] <= len(knots[0]) <= _KNOTS[1] and all(len(column) == len(knots[0]) for column in knots)
        check(fits, f"does not have {_KNOTS[0]} to {_KNOTS[1]} knots in every column of {name}")
        check(knots[0] == sorted(knots[0]), f"has {name} with {columns[0]} not ascending")
        rising = columns[-1] != "high" or all(low <= high for low, high in zip(*knots[-2:], strict=True))
        check(rising, f"has {name} with low above high")
    flags = calibration.get("flags") or {}
    own = flags.get("structures", {})
    check(isinstance(own, dict) and all(map(within, own.values())), "has thresholds of structures that are not DSC")
    check(within(flags.get("structures_share", 0.0)), "has a share of flags that is not a number from 0 to 1")
    missed = calibration.get("missed") or {}
    check(isinstance(missed, dict), "does not give missed as numbers by name")
    for name, (least, most) in _MISSED.items():
        fits = name not in missed or within(missed[name], least, most)
        check(fits, f"has missed {name} that is not a number from {least:g} to {most:g}")


def _table(header: dict, vectors: np.ndarray) -> EmbeddingTable:
    table = header["table"]
    names = table.get("names")
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise ModelError("its structure names are not a list of texts")
    if not isinstance(table.get("encoder"), str) or not isinstance(table.get("prompt"), str):
        raise ModelError("its table does not name the text encoder and the prompt")
    return EmbeddingTable(table["encoder"], table["prompt"], tuple(names), vectors)
