"""Where a node came from, for reports."""

from __future__ import annotations


def source_of(node) -> dict[str, str]:
    """``{"node": name, "path": file}``; no path for a node that was never a file.

    No fingerprint of the file: what was scored is the node, which may have been edited since it was loaded.
    """
    storage = node.GetStorageNode()
    path = storage.GetFileName() if storage else None
    return {"node": node.GetName(), **({"path": path} if path else {})}
