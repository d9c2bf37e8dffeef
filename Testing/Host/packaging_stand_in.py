"""Stand-in for tests, no product logic: ``slicer.packaging``, which never installs anything here.

Outside testing mode ``pip_ensure`` asks as Slicer does, and what it would install is in :data:`installed`.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

installed: list[str] = []
"""Requirements that Slicer would have installed by now; tests empty it."""


def load_requirements(path):
    """Requirements of a requirements.txt, without comments and pip options."""
    lines = (line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def pip_check(req):
    """Whether all requirements are installed in a fitting version."""
    requirements = req if isinstance(req, list) else [req]
    for requirement in (Requirement(str(r)) for r in requirements):
        try:
            if requirement.marker is None or requirement.marker.evaluate():
                if version(requirement.name) not in requirement.specifier:
                    return False
        except PackageNotFoundError:
            return False
    return True


def pip_ensure(
    requirements,
    constraints=None,
    skip_packages=None,
    prompt_install=True,
    prompt_restart=True,
    requester=None,
    skip_in_testing=True,
    show_progress=True,
):
    """Ask whether what is missing may be installed, and note it. In testing mode nothing happens, as in Slicer."""
    import slicer

    requirements = requirements if isinstance(requirements, list) else [requirements]
    missing = [str(r) for r in requirements if not pip_check(r)]
    if not missing or (skip_in_testing and slicer.app.testingEnabled()):
        return
    question = f"{len(missing)} Python packages need to be installed.\n\nContinue?"
    title = f"{requester} - Install Python Packages"
    if prompt_install and not slicer.util.confirmOkCancelDisplay(question, title, detailedText="\n".join(missing)):
        raise RuntimeError("User declined package installation")
    installed.extend(missing)
