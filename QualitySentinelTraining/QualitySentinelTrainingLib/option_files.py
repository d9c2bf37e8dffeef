"""Options of a command or an experiment: one frozen dataclass, read from a TOML file and from the command line.

Types and ranges are those of the annotations, checked by pydantic::

    @dataclass(frozen=True)
    class WalkOptions(Options):
        steps: Annotated[PositiveInt, Doc("how many")] = 10
        share: Annotated[Share, Doc("of the slices")] = 0.2

    add_options(parser, WalkOptions, "steps")
    options = read_options(WalkOptions, path, **given_options(namespace, WalkOptions, "steps"))
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import pydantic
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt  # for the options

from QualitySentinelLib.errors import InputError, UsageError, readable

Share = Annotated[float, Field(ge=0.0, le=1.0)]
"""0 to 1."""
_STRICT = pydantic.ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)


@dataclass(frozen=True)
class Doc:
    """What an option means, in one line: in an ``Annotated``, for the command line's help."""

    text: str


@dataclass(frozen=True)
class Options:
    """Base of option dataclasses: values of another type or out of range are refused.

    Raises:
        UsageError: a value is.
    """

    @classmethod
    @cache
    def _hints(cls) -> dict[str, tuple[Any, str]]:
        """Type of each field, with its ranges, and what it means."""
        made = {}
        hints = get_type_hints(cls, include_extras=True)
        for name in (f.name for f in fields(cls)):
            hint = hints[name]
            docs = [m.text for m in getattr(hint, "__metadata__", ()) if isinstance(m, Doc)]
            made[name] = get_args(hint)[0] if docs and len(hint.__metadata__) == 1 else hint, docs[0] if docs else ""
        return made

    @classmethod
    @cache
    def _adapters(cls) -> dict[str, pydantic.TypeAdapter]:
        made = {}
        for name, (hint, _) in cls._hints().items():
            plain = isinstance(hint, type) and is_dataclass(hint)
            made[name] = pydantic.TypeAdapter(hint) if plain else pydantic.TypeAdapter(hint, config=_STRICT)
        return made

    def __post_init__(self) -> None:
        for name, adapter in self._adapters().items():
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, adapter.validate_python(value))
            except pydantic.ValidationError as error:
                reason = error.errors()[0]["msg"].removeprefix("Value error, ")
                raise UsageError(f"{name} is {value!r}: {reason[:1].lower()}{reason[1:]}") from error


_Made = TypeVar("_Made", bound=Options)


def read_options(cls: type[_Made], path: str | Path | None, **changes) -> _Made:
    """Options of a TOML file, with ``changes`` that are not ``None`` in their place.

    Args:
        cls: a dataclass derived from :class:`Options`; a field that is one too is a table of the file. Paths are
            relative to the file.
        path: without one, the defaults.
        changes: options by name; ``net.widths`` is the option ``widths`` of the table ``net``.

    Raises:
        InputError: the file cannot be read, is no TOML, or has a key or a value that is none of ours; names the file.
        UsageError: a change is not sensible.
    """
    given: dict[str, Any] = {}
    if path is not None:
        try:
            with readable(path, "check the path"):
                given = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InputError(f"{path}: not a readable TOML file ({error})") from error
        try:
            made = _from_table(cls, given, Path(path).parent)
        except UsageError as error:
            raise InputError(f"{path}: {error}") from error
        given = {f.name: getattr(made, f.name) for f in fields(made)}
    for key, value in changes.items():
        table, _, name = key.partition(".")
        hint = cls._hints().get(table, (None,))[0]
        if name and isinstance(hint, type) and issubclass(hint, Options):
            before = given.get(table) or hint()
            whole = {f.name: getattr(before, f.name) for f in fields(hint)} | {name: value}
            key, value = table, _from_table(hint, whole, Path())
        if value is not None:
            given[key] = value
    return _from_table(cls, given, Path())


def parsed_change(text: str) -> tuple[str, object]:
    """Name and value of a change given as ``name=value``; the value is as in TOML, text needs no quotes.

    Raises:
        UsageError: it is nothing like that.
    """
    key, sign, value = (part.strip() for part in text.partition("="))
    if not (key and sign and value):
        raise UsageError(f"--set {text}: give it as name=value, for example epochs=5")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value


def add_options(parser: Any, cls: type[Options], *names: str, **own: Any) -> None:
    """Add the options ``names``, by default all, to an argparse parser or group: ``--pixel-mm`` for ``pixel_mm``.

    Their value is ``None`` where they are not given. ``own``: the command's own defaults, for the help.
    """
    defaults = {f.name: f.default for f in fields(cls)} | own
    for name in names or [f.name for f in fields(cls)]:
        hint, help_text = cls._hints()[name]
        item, many = (get_args(hint)[0], "+") if get_origin(hint) is tuple else (hint, None)
        while get_origin(item) in (Annotated, Union, UnionType):
            item = get_args(item)[0]
        default = defaults[name]
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
        if default not in (None, (), MISSING) and "default: " not in help_text:
            help_text = f"{help_text} (default: {shown})"
        told = {"help": help_text.replace("%", "%%"), "default": None}
        flag = f"--{name.replace('_', '-')}"
        if item is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, **told)
        elif get_origin(item) is Literal:
            choices = get_args(item)
            parser.add_argument(flag, choices=choices, type=type(choices[0]), nargs=many, **told)
        else:
            parser.add_argument(flag, type=item, nargs=many, **told)


def given_options(namespace: argparse.Namespace, cls: type[Options], *names: str) -> dict[str, Any]:
    """Those options ``names``, by default all, that the command line gave, as keyword arguments of ``cls``."""
    given = {name: getattr(namespace, name) for name in names or (f.name for f in fields(cls))}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in given.items() if v is not None}


def _from_table(cls: type[_Made], table: Mapping[str, Any], folder: Path) -> _Made:
    known = [f.name for f in fields(cls)]
    for key in table:
        if key not in known:
            near = get_close_matches(key, known, 1)
            meant = f"; perhaps {near[0]}" if near else ""
            raise UsageError(f"{key!r} is not an option{meant}; available: {', '.join(known)}")
    missing = [f.name for f in fields(cls) if f.name not in table and f.default is f.default_factory]
    if missing:  # both are dataclasses.MISSING
        raise UsageError(f"{missing[0]} is missing")
    return cls(**{key: _fitting(cls._hints()[key][0], value, folder) for key, value in table.items()})


def _fitting(hint: Any, value: Any, folder: Path) -> Any:
    """A TOML value as the field holds it: lists as tuples, tables as options, names of files as paths."""
    if isinstance(value, list):
        item = get_args(hint)[0] if get_args(hint) else None
        return tuple(_fitting(item, v, folder) for v in value)
    if isinstance(value, Mapping) and isinstance(hint, type) and issubclass(hint, Options):
        return _from_table(hint, value, folder)
    if isinstance(value, str) and (hint is Path or Path in get_args(hint)):
        return folder / value
    return value
