"""Stand-in for tests, no product logic: ``slicer.packaging``, which never installs anything here."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement


def load_requirements(path):
    """Requirements of a requirements.txt, without comments and pip options."""
    lines = (line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def pip_check(requirements):
    """Whether all requirements are installed in a fitting version."""
    requirements = requirements if isinstance(requirements, list) else [requirements]
    for requirement in (Requirement(str(r)) for r in requirements):
        try:
            if requirement.marker is None or requirement.marker.evaluate():
                if version(requirement.name) not in requirement.specifier:
                    return False
        except PackageNotFoundError:
            return False
    return True


def pip_ensure(requirements, requester=None, **_):
    """Slicer skips the installation in testing mode; so does this, always."""
