"""Which versions of what made a result."""

from __future__ import annotations

import platform
from importlib import metadata

_PACKAGES = (
    "quality-sentinel",
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "SimpleITK",
    "nibabel",
    "pydicom",
    "safetensors",
)


def software_versions() -> dict[str, str]:
    """Versions by name of Python and of the packages that take part in scoring; absent ones are left out.

    Reads the installed packages' metadata and imports none of them.
    """
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
