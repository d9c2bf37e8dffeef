"""What a segment's name says, apart from its spelling: which words, which side.

Names are compared as sets of words, exactly: no word of a name is ever ignored, except those that say nothing about
anatomy (``NOISE``), so "liver tumor" is never taken for the liver.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

NOISE = frozenset(
    "mask seg segmentation label roi copy final gt pred prediction predicted manual auto automatic edited new".split()
)
"""Words around a name that say how the mask came about, not what it shows."""

_LEFT = frozenset({"left", "l", "lt", "lft"})
_RIGHT = frozenset({"right", "r", "rt", "rgt"})
_BOTH = frozenset({"both", "bilateral", "bilat", "lr", "rl"})
_FILLERS = frozenset({"of", "the", "and", "or", "in", "a", "an", "plus"})

_SAME_WORD = {
    "oesophagus": "esophagus", "oesophageal": "esophageal", "tumour": "tumor", "haemorrhage": "hemorrhage",
    "coeliac": "celiac", "oedema": "edema", "arota": "aorta",  # so spelled in the label list of AMOS
    "vertebrae": "vertebra", "costae": "costa", "costal": "costa", "bronchi": "bronchus", "ovaries": "ovary",
    "testes": "testis", "scapulae": "scapula", "claviculae": "clavicula", "metastases": "metastasis",
    "atria": "atrium", "femora": "femur", "humeri": "humerus",
    # abbreviations of AAPM TG-263
    "glnd": "gland", "musc": "muscle", "nrv": "nerve", "submand": "submandibular", "ves": "vesicle",
    "venacava": "vena cava", "brachioceph": "brachiocephalic", "brachiocephls": "brachiocephalic",
}  # fmt: skip
_VESSEL_PREFIX = {"a": "artery", "v": "vein"}  # TG-263 writes A_Aorta, V_Venacava_I
_LEVEL = re.compile(r"(c|t|th|l|s)0*([1-9]\d?)")


@dataclass(frozen=True)
class Spelling:
    """A name taken apart."""

    words: tuple[str, ...]  # lower case, singular, American spelling, in the order given; sides and fillers left out
    side: str = ""  # ``left``, ``right``, or empty when the name gives none or says both
    contradictory: bool = False  # left and right without saying both


def read_name(name: str) -> Spelling:
    """Take a name apart: ``"LeftParotid"``, ``"parotid_l"`` and ``"Lt. parotid"`` give the same."""
    text = unicodedata.normalize("NFKC", name).strip()
    both = bool(re.search(r"[&+]|\band\b|\bor\b|/|_and_", text, flags=re.IGNORECASE))
    words = [word for token in _tokens(text) for word in _words(token)]
    words = _with_levels(words)
    if len(words) > 1 and words[0] in _VESSEL_PREFIX:
        words[0] = _VESSEL_PREFIX[words[0]]
    left, right = (any(word in side for word in words) for side in (_LEFT, _RIGHT))
    both = both or any(word in _BOTH for word in words)
    kept = tuple(word for word in words if word not in _LEFT | _RIGHT | _BOTH | _FILLERS)
    if left and right:
        return Spelling(kept, "", contradictory=not both)
    return Spelling(kept, "left" if left else "right" if right else "")


def squeezed(name: str) -> str:
    """The letters and digits of a name in lower case, for names written without any gap (``leftparotid``)."""
    return "".join(_tokens(unicodedata.normalize("NFKC", name))).lower()


def has_gaps(name: str) -> bool:
    """Whether anything but letters and digits cuts the name into words."""
    return len(re.findall(r"[^\W_]+", name)) > 1


def _tokens(text: str) -> list[str]:
    """Cut at everything that is no letter or digit, and inside CamelCase."""
    text = re.sub(r"(?<=[^\W\d_])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", " ", text)
    return re.findall(r"[^\W_]+", text)


def _words(token: str) -> list[str]:
    """One token as words: levels such as ``L5`` stay whole, other digits come off, plurals go."""
    token = token.lower()
    level = _LEVEL.fullmatch(token)
    if level:
        return [level[1][0] + level[2]]
    ordinal = re.fullmatch(r"(\d+)(st|nd|rd|th)", token)
    if ordinal:
        return [str(int(ordinal[1]))]
    words = []
    for part in re.findall(r"\d+|[^\W\d_]+", token):
        if part.isdigit():
            words.append(str(int(part)))
        else:
            words.extend(_singular(w) for w in _SAME_WORD.get(part, part).split())
    return words


def _singular(word: str) -> str:
    """Drop a plural ending. ``pancreas`` loses its s too, but so it does in the table: only sameness matters."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _with_levels(words: list[str]) -> list[str]:
    """Settle what a letter and a number mean: ``vertebra L 5`` is level L5, ``rib l4`` is the left fourth rib."""
    if any(word in ("rib", "costa") for word in words):
        return [part for word in words for part in ((word[0], word[1:]) if _LEVEL.fullmatch(word) else (word,))]
    if "vertebra" in words:
        for at in range(len(words) - 1):
            if words[at] in ("c", "t", "l", "s") and words[at + 1].isdigit():
                return [*words[:at], words[at] + words[at + 1], *words[at + 2 :]]
    return words
