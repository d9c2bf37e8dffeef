"""Stand-in for tests, no product logic: ``Slicer --no-splash --no-main-window --python-script SCRIPT -- ARGUMENTS``.

    python -m Testing.Host.slicer_command --no-splash --no-main-window --python-script SCRIPT -- ARGUMENTS

Slicer takes its own options; ``--`` ends them, and what follows is ``sys.argv[1:]`` of the script.
"""

from __future__ import annotations

import runpy
import sys

from .headless_slicer import start


def main(arguments: list[str]) -> int:
    """Run the script and return the exit code it asked for."""
    script, rest = None, []
    arguments = list(arguments)
    while arguments:
        argument = arguments.pop(0)
        if argument == "--":
            rest = arguments
            break
        if argument == "--python-script":
            script = arguments.pop(0)
    start()
    import slicer

    slicer.app.testing = slicer.app.commandOptions().testingEnabled = False
    sys.argv = [script, *rest]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as stop:
        return int(stop.code or 0)
    return slicer.app.exit_code or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
