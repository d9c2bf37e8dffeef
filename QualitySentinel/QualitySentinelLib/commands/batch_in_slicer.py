"""The ``quality-sentinel`` command line inside Slicer: a script to run, not a module to import.

    Slicer --no-splash --no-main-window --python-script .../QualitySentinelLib/commands/batch_in_slicer.py -- \
        score --ct CT --seg SEG --out DIR

Slicer stops reading options at ``--``; what follows reaches this script, but for ``--title X`` and ``--name X``: on
Linux, Qt takes these for its own, so write ``--title=X``. Slicer then ends with the command's exit code. Nothing is
installed and nobody is asked: what is missing is named, and the exit code is 5.
"""

import os
import sys

_PACKAGES_MISSING = 5


def run(arguments):
    """Run one command; the exit code."""
    missing = _missing_packages()
    if missing:
        print(
            f"quality-sentinel: Slicer's Python lacks {', '.join(missing)}; "
            "open the Quality Sentinel module and press Apply once, it installs what is missing",
            file=sys.stderr,
        )
        return _PACKAGES_MISSING
    from QualitySentinelLib.commands.main import main

    return main(arguments)


def _missing_packages():
    """Names of the required packages that are not installed, PyTorch first."""
    from importlib.util import find_spec

    missing = [] if find_spec("torch") else ["torch (PyTorch extension)"]
    try:
        import slicer.packaging
    except ImportError:  # plain Python: its packages are its user's affair
        return missing
    requirements = slicer.packaging.load_requirements(os.path.join(_module_folder(), "Resources", "requirements.txt"))
    return missing + [str(r) for r in requirements if not slicer.packaging.pip_check(r)]


def _module_folder():
    """The folder of QualitySentinel.py, which is also where the library is imported from."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _leave(code):
    """End Slicer with an exit code; outside Slicer's application, end the process."""
    try:
        from slicer import app  # noqa: F401
    except ImportError:
        sys.exit(code)
    import slicer.util

    slicer.util.exit(code)


if __name__ == "__main__":
    # Slicer put this script's own folder on the path, where commands/ would offer its files as top-level modules.
    sys.path = [
        _module_folder(),
        *(p for p in sys.path if os.path.abspath(p) != os.path.dirname(os.path.abspath(__file__))),
    ]
    _leave(run([word for i, word in enumerate(sys.argv[1:]) if (i, word) != (0, "--")]))
