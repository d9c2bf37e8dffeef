"""What is kept of an item: a file of JSON lines. The first is the head, the last a checksum of all before it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256

SCHEMA = "quality-sentinel-record/1"
DONE, FAILED = "done", "failed"
_CHECKSUM = b'{"sha256":"%b"}\n'


@dataclass
class Record:
    """An item that is finished, or failed."""

    # ``item`` (its name), ``status`` (``done`` or ``failed``), ``reason``, ``fingerprint``, ``seconds`` (by ``read``
    # and ``work``), ``files`` (size in bytes and SHA-256 by path in the run's folder), and the facts that the work
    # adds. Plain JSON
    head: dict
    lines: list = field(default_factory=list)  # the results, plain JSON each

    @property
    def name(self) -> str:
        return self.head["item"]

    @property
    def failed(self) -> bool:
        """Whether there are no results."""
        return self.head["status"] == FAILED

    def to_bytes(self) -> bytes:
        """The file's content. ASCII with escapes: any name survives."""
        lines = ({"schema": SCHEMA, **self.head}, *self.lines)
        content = "".join(json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n" for line in lines).encode()
        return content + _checksum(content)

    @classmethod
    def from_bytes(cls, content: bytes, with_lines: bool = True) -> Record:
        """What :meth:`to_bytes` wrote, with or without its lines; the checksum is verified.

        Raises:
            ValueError: it is damaged, or another version's.
        """
        end = content.rfind(b"\n", 0, -1) + 1
        if not end or content[end:] != _checksum(content[:end]):
            raise ValueError("the checksum does not match")
        first, _, lines = content[:end].partition(b"\n")
        head = json.loads(first)
        if not isinstance(head, dict) or head.pop("schema", None) != SCHEMA:
            raise ValueError("written by another version")
        return cls(head, [json.loads(line) for line in lines.splitlines()] if with_lines else [])


def _checksum(content: bytes) -> bytes:
    return _CHECKSUM % sha256(content).hexdigest().encode()
