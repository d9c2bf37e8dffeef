"""The ``names`` argument: what label values, file stems or segment ids mean."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ..errors import UsageError

_PRESETS = Path(__file__).with_name("label_values.json")


@cache
def _presets() -> dict[str, dict[str, str]]:
    return json.loads(_PRESETS.read_text(encoding="utf-8"))


def name_presets() -> tuple[str, ...]:
    """The known label conventions: ``totalsegmentator`` (v2), ``totalsegmentator_v1``, ``btcv``, ``amos``, ..."""
    return tuple(_presets())


def read_names(names: str | Path | Mapping | None) -> dict[str, str]:
    """The names as a mapping of text keys (label value, file stem or segment id) to structure names.

    In a ``dataset.json`` of nnU-Net, a region (``"kidney": [1, 2]``) names a value only where no label and no smaller
    region does. A value called ``ignore`` is not a structure: readers leave it out.

    Args:
        names: a preset of :func:`name_presets`; a JSON file with ``{"1": "liver"}`` or ``{"stem": "liver"}``, or a
            ``dataset.json`` of nnU-Net or the Decathlon; a mapping; or ``None``.

    Raises:
        UsageError: no such file or preset, not JSON, or JSON of another shape.
    """
    if names is None:
        return {}
    if isinstance(names, Mapping):
        return _as_text(names, "names")
    if str(names) in _presets():
        return dict(_presets()[str(names)])
    return _as_text(read_json(Path(names)), str(names))


def read_json(path: Path):
    """Content of a JSON file of names.

    Raises:
        UsageError: no such file or preset, not JSON, or an object that has a key twice.
    """

    def without_repeats(pairs: list[tuple[str, object]]) -> dict:  # Python would silently take the last
        twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
        if twice:
            raise UsageError(f"{path}: gives {twice[0][:60]!r} twice; each label value or file stem once")
        return dict(pairs)

    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=without_repeats)
    except FileNotFoundError as error:
        presets = ", ".join(name_presets())
        raise UsageError(f"{path}: no such file; give a JSON file of names or one of {presets}") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error}); give a JSON file of names") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not text in UTF-8; save the names file as UTF-8 JSON") from error
    except (ValueError, RecursionError) as error:  # JSONDecodeError is a ValueError, as is a number of 5000 digits
        where = f" (line {error.lineno}: {error.msg})" if isinstance(error, json.JSONDecodeError) else ""
        raise UsageError(f'{path}: is not JSON{where}; write names as {{"1": "liver"}}') from error


def _as_text(content, source: str) -> dict[str, str]:
    if isinstance(content, Mapping) and isinstance(content.get("labels"), Mapping):
        content = content["labels"]
    wrong = UsageError(f'{source}: must map label values or file stems to names, like {{"1": "liver"}}')
    if not isinstance(content, Mapping) or not content:
        raise wrong
    if not all(isinstance(value, str) and not value.isdecimal() for value in content.values()):
        content = _of_nnunet(content)
    if not content or not all(isinstance(value, str) and value.strip() for value in content.values()):
        raise wrong
    return {str(key): value for key, value in content.items()}


def _of_nnunet(labels: Mapping) -> dict[str, str]:
    """Names by label value, from ``{"background": 0, "liver": 1, "kidney": [2, 3]}``; empty when it is not that."""
    regions = [(name, value if isinstance(value, list) else [value]) for name, value in labels.items()]
    if not all(str(v).isdecimal() for _, values in regions for v in values):
        return {}
    named: dict[str, str] = {}
    smallest_first = sorted(regions, key=lambda region: len(region[1]))
    for name, values in smallest_first:
        for value in (str(int(value)) for value in values):
            if len(values) == 1 and value in named:
                return {}  # two labels of one value
            if value != "0":
                named.setdefault(value, str(name))
    return named
