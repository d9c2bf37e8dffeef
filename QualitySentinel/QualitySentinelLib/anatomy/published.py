"""Class numbers as the published Quality Sentinel uses them, including its two mistakes."""

from __future__ import annotations

from .structures import Structure

# Upstream scores TotalSegmentator's urinary bladder with the text of the prostate (19, although 17 is the bladder) and
# the face with that of the left cheek (128). Numbers of the paper can only be reproduced with both mistakes.
_UPSTREAM = {"bladder": 19, "face": 128}


def published_class_id(structure: Structure) -> int | None:
    """DAP Atlas class whose embedding the published inference uses for a structure; ``None`` when it has none.

    Only for the ``published`` preset. Everything else uses ``structure.dap_id``, which is right for the bladder.
    """
    return _UPSTREAM.get(structure.name, structure.dap_id)
