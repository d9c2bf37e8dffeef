"""Needs ``slicer`` when called. The packages that scoring needs, installed inside Slicer after the user agreed.

PyTorch comes from Slicer's PyTorch extension, which picks the build that fits the graphics card. Everything else comes
from ``slicer.packaging``, which asks, installs, and offers a restart when a package in use was replaced.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib import metadata
from pathlib import Path
from subprocess import CalledProcessError

from ..errors import CancelledError, ModelError

TORCH_VERSION = ">=2.2"
REQUIREMENTS = Path(__file__).resolve().parents[2] / "Resources" / "requirements.txt"
"""What Slicer's Python lacks; absent in a wheel, whose packages pip looks after."""
OPENVINO = "openvino>=2025.1"
"""Not needed: scores are equal without it, but take about twice as long on a CPU."""
EXTENSION = "PyTorch"
_REPLACED = "PyTorch was replaced while it was in use."


def ensure_packages(force_cpu: bool = False) -> bool:
    """Make sure that scoring has its packages: install what is missing, after asking the user.

    Asks for nothing and returns at once when all is there. In Slicer's testing mode nothing is installed. Call it on
    the main thread, in answer to a click: it opens message boxes. ``force_cpu``: PyTorch, if it is installed anew, is
    the build for the processor even where there is a graphics card (smaller, and for cards that fail).

    Returns:
        Whether scoring can start now. ``False``: Slicer must be restarted first; that was offered.

    Raises:
        CancelledError: the user declined. Nothing more needs to be shown.
        ModelError: something is missing and could not be installed; one line that says what to do.
    """
    if not _ensure_torch(force_cpu):
        return False
    import slicer.packaging

    _ensure_requirements(slicer.packaging.load_requirements(REQUIREMENTS))
    return not restart_needed() or _offer_restart(_REPLACED)


def restart_needed() -> bool:
    """Whether the PyTorch in use is not the one that is installed: it was replaced after it had been imported."""
    loaded, installed = loaded_version("torch"), installed_version("torch")
    if loaded is None or installed is None:
        return False
    # Wheels may say +cu126 in one place alone.
    return loaded.partition("+")[0] != installed.partition("+")[0]


def installed_version(package: str) -> str | None:
    """Version of an installed package, from its metadata: it is not imported. ``None`` when there is none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def loaded_version(module: str) -> str | None:
    """Version of a module that is imported already; ``None`` when it is not, or does not say."""
    version = getattr(sys.modules.get(module), "__version__", None)
    return None if version is None else str(version)


def _ensure_torch(force_cpu: bool) -> bool:
    """Whether PyTorch is there, if need be after its extension has installed it."""
    import slicer
    import slicer.packaging
    from slicer.i18n import tr as _

    importlib.invalidate_caches()  # it may have been installed a moment ago
    missing = importlib.util.find_spec("torch") is None
    if not missing and slicer.packaging.pip_check(f"torch{TORCH_VERSION}"):
        return True
    try:
        import PyTorchUtils
    except ModuleNotFoundError:
        _install_extension()
        return False
    if slicer.app.testingEnabled():  # PyTorchUtils would install without asking
        state = _("not installed") if missing else _("too old ({version} is needed)").format(version=TORCH_VERSION)
        raise ModelError(_("PyTorch is {state}, and testing mode does not install anything").format(state=state))
    in_use = "torch" in sys.modules
    try:
        torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(
            askConfirmation=True,
            forceComputationBackend="cpu" if force_cpu else None,
            torchVersionRequirement=TORCH_VERSION,
        )
    except (CalledProcessError, ImportError, OSError) as error:
        raise ModelError(
            _(
                "PyTorch could not be installed; see View > Error Log for the reason. Restart Slicer and try again "
                "before another module uses PyTorch"
            )
        ) from error
    if torch is None:
        raise CancelledError(_("Scoring needs PyTorch, which was not installed"))
    return not in_use or _offer_restart(_REPLACED)


def _install_extension() -> None:
    """Offer to install the PyTorch extension, and then to restart Slicer; refuse where neither can be done."""
    import slicer
    from slicer.i18n import tr as _

    by_hand = _("The PyTorch extension is missing; install it in the Extensions Manager and restart Slicer")
    if slicer.app.testingEnabled() or not hasattr(slicer.app, "extensionsManagerModel"):
        raise ModelError(by_hand)
    manager = slicer.app.extensionsManagerModel()
    if manager is None:  # started without extensions
        raise ModelError(by_hand)
    if not manager.isExtensionInstalled(EXTENSION):
        if not slicer.util.confirmOkCancelDisplay(
            _(
                "Scoring needs the PyTorch extension of Slicer, which is not installed.\n\n"
                "Download and install it now? Slicer must be restarted afterwards."
            ),
            _("Quality Sentinel - Install Extension"),
        ):
            raise CancelledError(by_hand)
        asks = manager.interactive
        manager.interactive = False  # the user has just agreed: once is enough
        try:
            installed = manager.installExtensionFromServer(EXTENSION, False)
        finally:
            manager.interactive = asks
        if not installed:
            raise ModelError(by_hand)
    _offer_restart("The PyTorch extension is installed.")


def install_openvino() -> None:
    """Have Slicer install OpenVINO, as :func:`ensure_packages` does; scoring on a CPU uses it from then on."""
    from packaging.requirements import Requirement

    _ensure_requirements([Requirement(OPENVINO)])
    importlib.invalidate_caches()


def _ensure_requirements(requirements: list) -> None:
    """Have Slicer install what is missing of the requirements."""
    import slicer.packaging
    from slicer.i18n import tr as _

    names = ", ".join(r.name for r in requirements if not slicer.packaging.pip_check(r))
    try:
        slicer.packaging.pip_ensure(requirements, requester="Quality Sentinel")
    except CalledProcessError as error:
        raise ModelError(
            _("Python packages could not be installed ({names}); see View > Error Log for the reason").format(
                names=names
            )
        ) from error
    except RuntimeError as error:  # Slicer's way of saying that the user declined
        raise CancelledError(
            _("Scoring needs Python packages that were not installed ({names})").format(names=names)
        ) from error


def _offer_restart(why: str) -> bool:
    """Offer to restart Slicer; ``False``: nothing can be scored before that."""
    import slicer
    from slicer.i18n import tr as _

    if not slicer.app.testingEnabled():  # message boxes then say yes to everything
        question = _("Slicer must be restarted before it can score. Save your work first. Restart now?")
        if slicer.util.confirmYesNoDisplay(f"{_(why)}\n\n{question}", _("Quality Sentinel - Restart Needed")):
            slicer.util.restart()
    return False
