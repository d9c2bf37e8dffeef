"""The ``names`` argument: what label values, file stems or segment ids mean."""

from __future__ import annotations

import json
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

    Args:
        names: a preset of :func:`name_presets`; a JSON file with ``{"1": "liver"}`` or ``{"stem": "liver"}``, where
            the nnU-Net form ``{"labels": {"background": 0, "liver": 1}}`` is understood too; a mapping; or ``None``.

    Raises:
        UsageError: no such file or preset, not JSON, or JSON of another shape.
    """
    if names is None:
        return {}
    if isinstance(names, Mapping):
        return _as_text(names, "names")
    if str(names) in _presets():
        return dict(_presets()[str(names)])
    path = Path(names)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_without_repeats)
    except FileNotFoundError as error:
        presets = ", ".join(name_presets())
        raise UsageError(f"{path}: no such file; give a JSON file of names or one of {presets}") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error}); give a JSON file of names") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not text in UTF-8; save the names file as UTF-8 JSON") from error
    except _RepeatedKeyError as error:
        raise UsageError(f"{path}: gives {str(error)[:60]!r} twice; each label value or file stem once") from error
    except (ValueError, RecursionError) as error:  # JSONDecodeError is a ValueError, as is a number of 5000 digits
        where = f" (line {error.lineno}: {error.msg})" if isinstance(error, json.JSONDecodeError) else ""
        raise UsageError(f'{path}: is not JSON{where}; write names as {{"1": "liver"}}') from error
    return _as_text(content, str(path))


class _RepeatedKeyError(Exception):
    """A JSON object has a key twice; Python would silently take the last."""


def _without_repeats(pairs: list[tuple[str, object]]) -> dict:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKeyError(next(key for key in keys if keys.count(key) > 1))
    return content


def _as_text(content, source: str) -> dict[str, str]:
    if isinstance(content, Mapping) and isinstance(content.get("labels"), Mapping):
        content = content["labels"]
    wrong = UsageError(f'{source}: must map label values or file stems to names, like {{"1": "liver"}}')
    if not isinstance(content, Mapping) or not content:
        raise wrong
    if all(isinstance(v, int) and not isinstance(v, bool) for v in content.values()):
        inverted = {str(value): str(name) for name, value in content.items() if value != 0}  # nnU-Net's direction
        if len(inverted) == sum(v != 0 for v in content.values()):
            return inverted
    if not all(isinstance(v, str) and v.strip() for v in content.values()):
        raise wrong
    return {str(key): value for key, value in content.items()}
