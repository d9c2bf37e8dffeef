"""Models, devices, versions, structures."""

from __future__ import annotations

import argparse
import json
import platform
from dataclasses import asdict

from .. import __version__
from ..bundled import BUNDLED
from ..errors import UsageError
from ..scores import software_versions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="machine-readable")
    parser.add_argument("--model", default="bundled", help="'bundled' or a model file to describe")
    parser.add_argument(
        "--import-model", metavar="PATH",
        help="first import a Quality Sentinel model or a published .pth checkpoint",
    )  # fmt: skip
    parser.add_argument("--embeddings", help="label_embedding.pkl, for a published .pth file to import")


def gather(model_source: str = "bundled") -> dict:
    """What :func:`run` prints, as one JSON-able dictionary."""
    import torch

    from ..anatomy import all_structures
    from ..checkpoint import load_model
    from ..setup import model_choices

    model = load_model(model_source)
    model.chosen_backend()  # so that the summary says what would score on this computer
    devices = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return {
        "version": __version__,
        "platform": platform.platform(),
        "versions": software_versions(),
        "devices": devices,
        "model": model.summary(),
        "imported": [asdict(choice) for choice in model_choices() if choice.source != BUNDLED],
        "structures": [structure.name for structure in all_structures()],
    }


def run(options: argparse.Namespace) -> int:
    """Import a model when asked to, and print what there is."""
    if options.import_model:
        from ..setup import import_model

        options.model = import_model(options.import_model, options.embeddings).source
    elif options.embeddings:
        raise UsageError("--embeddings belongs to --import-model PATH, which is missing")
    info = gather(options.model)
    if options.json:
        print(json.dumps(info, indent=2, ensure_ascii=False))
        return 0
    print(f"Quality Sentinel {info['version']}, {info['platform']}")
    print("versions:  ", ", ".join(f"{name} {version}" for name, version in info["versions"].items()))
    print("devices:   ", ", ".join(info["devices"]))
    print("model:     ", ", ".join(f"{key} {value}" for key, value in info["model"].items()))
    for choice in info["imported"]:
        print(f"imported:   {choice['source']} ({choice['origin'] or 'put there by hand'})")
    print(f"structures: {len(info['structures'])} (list them with --json)")
    return 0
