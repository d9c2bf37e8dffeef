"""What is installed and what is missing, as rows for the panel and as one text for support."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import re
import sys
from contextlib import suppress
from dataclasses import dataclass, replace

from .. import __version__
from ..bundled import BUNDLED, bundled_models
from ..scores import software_versions
from .memory import GIB, available_memory
from .models import model_choices
from .packages import REQUIREMENTS, TORCH_VERSION, installed_version, loaded_version, restart_needed

MISSING = "missing"
_APPLY_INSTALLS = "press Apply to install it"


@dataclass(frozen=True)
class InstalledPart:
    """One row of the install state."""

    name: str  # of the package, device or model
    version: str  # or what else there is to say of it; ``"missing"``
    ok: bool = True  # whether scoring can do with it as it is
    advice: str = ""  # what to do, one line; empty when there is nothing to do


def install_state(ask_devices: bool = False) -> list[InstalledPart]:
    """Packages, devices and models, in the order in which a user should mend them. Quick: reads, and loads nothing.

    With ``ask_devices``, graphics cards are named even if PyTorch must be imported for it, which takes seconds.
    """
    version = installed_version("openvino") or "not installed; scores are the same, but slower on a CPU"
    openvino = InstalledPart("OpenVINO", version)
    return [*_torch(), *_devices(ask_devices), *_packages(), openvino, *_models()]


def package_info(ask_devices: bool = True) -> str:
    """What support wants to know, as text of several lines to copy: versions, machine, packages, devices, models.

    Nothing of any scene or patient is in it, nor paths, which may hold names.
    """
    cores, free = os.cpu_count(), available_memory()
    lines = [f"Quality Sentinel {__version__}"]
    slicer = _slicer()
    if slicer:
        lines.append(f"Slicer: {slicer}")
    lines += [
        f"System: {platform.platform()}, {cores} cores" + (f", {free / GIB:.1f} GiB memory free" if free else ""),
        "Versions: " + ", ".join(f"{name} {version}" for name, version in software_versions().items()),
        "",
    ]
    for part in install_state(ask_devices):
        lines.append(f"[{'ok' if part.ok else '!!'}] {part.name}: {part.version}")
        if part.advice:
            lines.append(f"     {part.advice}")
    return "\n".join(lines) + "\n"


def _slicer() -> str:
    """Version, revision and platform of the Slicer this runs in; empty outside Slicer."""
    app = getattr(sys.modules.get("slicer"), "app", None)
    if app is None:
        return ""
    return f"{app.applicationVersion}, revision {app.revision} ({app.repositoryRevision}), {app.platform}"


def _torch() -> list[InstalledPart]:
    inside_slicer = bool(_slicer())
    rows = []
    if inside_slicer and importlib.util.find_spec("PyTorchUtils") is None:
        if _row("torch", TORCH_VERSION).ok:
            rows.append(InstalledPart("PyTorch extension", "not installed, and not needed because torch is"))
        else:
            advice = "press Apply to install it, or get it from the Extensions Manager"
            rows.append(InstalledPart("PyTorch extension", MISSING, False, advice))
    row = _row("torch", TORCH_VERSION)
    if row.version == MISSING and not inside_slicer:
        row = replace(row, advice="install the package torch")
    elif restart_needed():
        row = InstalledPart("torch", f"{row.version}, {loaded_version('torch')} in use", False, "restart Slicer")
    return [*rows, row]


def _devices(ask: bool) -> list[InstalledPart]:
    """The processor, and each graphics card with its memory where PyTorch can be asked."""
    rows = [InstalledPart("cpu", f"{os.cpu_count()} cores")]
    if ask and "torch" not in sys.modules and installed_version("torch"):
        with suppress(ImportError, OSError):  # a damaged installation: its row says what it can
            importlib.import_module("torch")
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "cuda"):
        if installed_version("torch"):
            rows.append(InstalledPart("graphics card", "unknown until PyTorch is loaded"))
        return rows
    for index in range(torch.cuda.device_count()):
        said = torch.cuda.get_device_name(index)
        with suppress(RuntimeError):  # in use by another program alone
            free, total = torch.cuda.mem_get_info(index)
            said += f", {free / GIB:.1f} of {total / GIB:.1f} GiB free"
        rows.append(InstalledPart(f"cuda:{index}", said))
    if torch.backends.mps.is_available():
        rows.append(InstalledPart("mps", "Apple GPU"))
    if len(rows) == 1:
        rows.append(InstalledPart("graphics card", "none that PyTorch can use; scoring runs on the CPU"))
    return rows


def _packages() -> list[InstalledPart]:
    """A row for each package of ``requirements.txt``; none in a wheel, which does not carry that file."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines() if REQUIREMENTS.is_file() else []
    found = (re.match(r"([\w.-]+)\s*([<>=!~].*)?$", line.strip()) for line in lines)
    return [_row(one[1], one[2] or "") for one in found if one]


def _row(name: str, wanted: str) -> InstalledPart:
    """A package, which should have a version such as ``>=0.4``."""
    version = installed_version(name)
    if version is None:
        return InstalledPart(name, MISSING, False, _APPLY_INSTALLS)
    if not _fits(version, wanted):
        return InstalledPart(name, version, False, f"{wanted} is needed; {_APPLY_INSTALLS}")
    return InstalledPart(name, version)


def _models() -> list[InstalledPart]:
    bundled = [path.stem for path in bundled_models()]
    if len(bundled) == 1:
        rows = [InstalledPart("bundled model", bundled[0])]
    else:
        rows = [InstalledPart("bundled model", ", ".join(bundled) or MISSING, False, "install Quality Sentinel again")]
    imported = [choice for choice in model_choices() if choice.source != BUNDLED]
    return rows + [InstalledPart(f"model {c.name}", c.origin or "copied by hand") for c in imported]


def _fits(version: str, wanted: str) -> bool:
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:  # Slicer has it; elsewhere pip has seen to the versions
        return True
    return version in SpecifierSet(wanted, prereleases=True)
