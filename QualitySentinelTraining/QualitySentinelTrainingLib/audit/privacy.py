"""Keeping identifiers out of whatever an audit writes or prints."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from QualitySentinelLib.datasets import Case

BLOT = "[removed]"
_TITLE = re.compile(r"(the largest was taken \()'.*', (\d+ slices\))")
"""Where a reader quotes the description of a DICOM series, which in any layout is none of a reader's business."""


class Deidentifier:
    """Takes out of texts about a case what does not belong into an output.

    The data set's folder, ``root``, goes from paths: they become relative to it. Of a case whose files may identify the
    patient, its paths become ``CT`` and ``SEG``, and what its headers say of the patient becomes ``[removed]``, unless
    the user wants to see it (``keep_identifiers``).
    """

    def __init__(self, case: Case, root: Path, keep_identifiers: bool = False) -> None:
        self._hide, self._keep = case.identifying and not keep_identifiers, keep_identifiers
        places = {str(root), str(root.resolve())} - {".", "/"}
        self._roots = sorted((place + mark for place in places for mark in "/\\"), key=len, reverse=True)
        self._patterns: list[tuple[re.Pattern, str]] = []
        itself = "CT" if case.ct == "." else "."  # files of a CT may lie in the data set's folder itself
        for place in sorted(filter(os.path.isabs, places), key=len, reverse=True):
            self._patterns.append((re.compile(rf"(?<![\w.-]){re.escape(place)}(?=[\s:,;()']|$)"), itself))
        if self._hide:
            self._blot("CT", case.ct_files)
            for what, place in sorted({"SEG": case.seg, "CT": case.ct}.items(), key=lambda told: -len(told[1])):
                self._blot(what, {place} - {"", "."})  # the longer first: the SEG may lie in the folder of the CT
            self._patterns.append((re.compile(r"\b(CT|SEG)(/[^\s:,;()']+)+"), r"\1"))  # a file in the folder of the CT
            parts = {part for place in (case.ct, case.seg) for part in Path(place).parts}
            self._blot(BLOT, {text for part in parts for text in (part, Path(part).stem) if len(text) > 2} - {"SEG"})
            self._blot(BLOT, case.secrets, re.IGNORECASE)

    def _blot(self, what: str, texts: Iterable[str], flags: int = 0) -> None:
        """Have ``what`` stand for ``texts`` where these are words of their own (``_`` parts words, too)."""
        longest_first = sorted(set(texts), key=len, reverse=True)
        if longest_first:
            pattern = rf"(?<![^\W_])(?:{'|'.join(map(re.escape, longest_first))})(?![^\W_])"
            self._patterns.append((re.compile(pattern, flags), what))

    def __call__(self, text: str) -> str:
        """The text without what must not be seen, on one line."""
        text = " ".join(text.split())
        for root in self._roots:
            text = text.replace(root, "")
        if self._hide:
            text = text.replace("\\", "/")
        if not self._keep:
            text = _TITLE.sub(r"\1\2", text)
        for pattern, what in self._patterns:
            text = pattern.sub(what, text)
        return text

    def path(self, place: str) -> str:
        """A path of the case as the tables show it: empty when it may identify the patient."""
        return "" if self._hide else place
