"""What the files and folders of a case are called: the same on every disk, and never those of another case."""

from __future__ import annotations

import re
from hashlib import sha256
from urllib.parse import quote

_KEPT = " @+,=()"
_LONGEST = 120
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d) *(?:\..*)?", re.IGNORECASE)
"""What Windows takes for a device, whatever follows a dot."""


def file_name(case: str) -> str:
    """A case's name as one of a file or folder, without suffix; readable where it can be.

    Disks of Windows and macOS take ``A`` and ``a`` for one file, and two spellings of ``é``, too. So a name with
    capitals says behind a ``~`` which of its letters they are (bits, the first letter lowest, hexadecimal), and what is
    not ASCII is written as ``%XX``. Very long names are cut, and end in a digest.

    Example:
        >>> file_name("s0001"), file_name("BDMAP_00000001"), file_name("train/a")
        ('s0001', 'BDMAP_00000001~1f', 'train%2Fa')
    """
    safe = quote(case, safe=_KEPT, errors="surrogateescape").replace("~", "%7E")
    if safe.startswith(".") or _DEVICE.fullmatch(safe):
        safe = _escape(safe[0]) + safe[1:]
    if safe.endswith((".", " ")):  # Windows takes these off the names of folders
        safe = safe[:-1] + _escape(safe[-1])
    if len(safe) > _LONGEST:
        return f"{safe[:_LONGEST]}~{sha256(case.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"
    capitals = sum(1 << place for place, letter in enumerate(case) if "A" <= letter <= "Z")
    return f"{safe}~{capitals:x}" if capitals else safe


def _escape(letter: str) -> str:
    return f"%{ord(letter):02X}"
