"""Keeping identifiers out of whatever an audit writes or prints."""

from __future__ import annotations

import re
from pathlib import Path

from .cases import AuditCase

BLOT = "[removed]"


class Scrubber:
    """Takes out of texts what does not belong into an output.

    The data set's folder goes from paths: they become relative to it. Of a case whose files may identify the patient,
    its paths become ``CT`` and ``SEG``, and what its headers say of the patient becomes ``[removed]``.

    Args:
        case: the case that the texts are about.
        root: the data set's folder.
        keep_identifiers: the user wants to see them; only the data set's folder goes.
    """

    def __init__(self, case: AuditCase, root: Path, keep_identifiers: bool = False) -> None:
        self._hide = case.identifying and not keep_identifiers
        places = {str(root), str(root.resolve())} - {".", "/"}
        self._roots = sorted((f"{place}/" for place in places), key=len, reverse=True)
        replaced: dict[str, str] = {}
        if self._hide:
            parts = {part for place in (case.ct, case.seg) for part in Path(place).parts}
            parts |= {Path(part).stem for part in parts}
            replaced = dict.fromkeys((s for s in (*case.secrets, *parts) if len(s) > 2), BLOT)
            replaced |= dict.fromkeys(case.ct_files, "CT")
            replaced |= {place: what for place, what in ((case.ct, "CT"), (case.seg, "SEG")) if place not in ("", ".")}
        self._replaced = {text.casefold(): by for text, by in replaced.items()}
        longest_first = sorted(map(re.escape, replaced), key=len, reverse=True)
        self._pattern = re.compile("|".join(longest_first), re.IGNORECASE) if longest_first else None

    def __call__(self, text: str) -> str:
        """The text without what must not be seen, on one line."""
        text = " ".join(text.replace("\\", "/").split()) if self._hide else " ".join(text.split())
        for root in self._roots:
            text = text.replace(root, "")
        if self._pattern is None:
            return text
        text = self._pattern.sub(lambda match: self._replaced.get(match[0].casefold(), BLOT), text)
        return re.sub(r"\b(CT|SEG)(/[^\s:,;()']+)+", r"\1", text)  # a file in the folder of the CT

    def path(self, place: str) -> str:
        """A path of the case as the tables show it: empty when it may identify the patient."""
        return "" if self._hide else place
