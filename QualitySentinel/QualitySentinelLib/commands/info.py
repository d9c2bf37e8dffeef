"""``quality-sentinel info``: the model, the devices, the versions and the structures known here."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable

from .. import __version__
from ..scores.versions import software_versions


def add_parser(add: Callable[..., argparse.ArgumentParser], name: str) -> None:
    """Describe the command's arguments."""
    parser = add(name, help="models, devices, versions, structures")
    parser.add_argument("--json", action="store_true", help="machine-readable")
    parser.add_argument("--model", default="bundled", help="'bundled' or a model file to describe")
    parser.set_defaults(run=run)


def gather(model_source: str = "bundled") -> dict:
    """What :func:`run` prints, as one JSON-able dictionary."""
    import torch

    from ..anatomy import all_structures
    from ..checkpoint import load_model

    devices = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return {
        "version": __version__,
        "platform": platform.platform(),
        "versions": software_versions(),
        "devices": devices,
        "model": load_model(model_source).summary(),
        "structures": [structure.name for structure in all_structures()],
    }


def run(options: argparse.Namespace) -> int:
    """Print it."""
    info = gather(options.model)
    if options.json:
        print(json.dumps(info, indent=2, ensure_ascii=False))
        return 0
    print(f"Quality Sentinel {info['version']}, {info['platform']}")
    print("versions:  ", ", ".join(f"{name} {version}" for name, version in info["versions"].items()))
    print("devices:   ", ", ".join(info["devices"]))
    print("model:     ", ", ".join(f"{key} {value}" for key, value in info["model"].items()))
    print(f"structures: {len(info['structures'])} (list them with --json)")
    return 0
