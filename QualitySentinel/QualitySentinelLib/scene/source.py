"""Needs ``slicer``. Where a node came from, for reports and for files beside it."""

from __future__ import annotations

from pathlib import Path


def file_of(node) -> Path | None:
    """The file that a node was read from or last saved to, absolute; ``None`` where there is no such file.

    A scene that comes as one file (``.mrb``) leaves names of files that were unpacked and are gone.
    """
    storage = node.GetStorageNode()
    name = storage.GetFullNameFromFileName() if storage else ""  # relative ones are meant beside the scene
    path = Path(name).absolute() if name else None
    return path if path is not None and path.exists() else None


def source_of(node) -> dict[str, str]:
    """``{"node": name, "path": file}``; no path for a node that was never a file.

    No fingerprint of the file: what was scored is the node, which may have been edited since it was loaded.
    """
    path = file_of(node)
    return {"node": node.GetName(), **({"path": str(path)} if path else {})}
