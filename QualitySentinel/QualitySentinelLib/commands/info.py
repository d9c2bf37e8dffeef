"""``quality-sentinel info``: the model, the devices, the versions and the structures known here."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from importlib import metadata

from .. import __version__

_PACKAGES = ("torch", "torchvision", "numpy", "scipy", "SimpleITK", "safetensors", "pydicom", "highdicom")


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
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": package_versions(),
        "devices": devices,
        "model": load_model(model_source).summary(),
        "structures": [structure.name for structure in all_structures()],
    }


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that shape the numbers."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def run(options: argparse.Namespace) -> int:
    """Print it."""
    info = gather(options.model)
    if options.json:
        print(json.dumps(info, indent=2, ensure_ascii=False))
        return 0
    print(f"Quality Sentinel {info['version']}, Python {info['python']}, {info['platform']}")
    print("packages:  ", ", ".join(f"{name} {version}" for name, version in info["packages"].items()))
    print("devices:   ", ", ".join(info["devices"]))
    print("model:     ", ", ".join(f"{key} {value}" for key, value in info["model"].items()))
    print(f"structures: {len(info['structures'])} (list them with --json)")
    return 0
