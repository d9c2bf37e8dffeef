"""Pairs on disk: one HDF5 file per subject, each picture a compressed chunk of its own; all has checksums.

A million pairs are a few hundred files, any pair is read without the others, and a damaged one is noticed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import h5py
import numpy as np

from QualitySentinelLib.errors import InputError, reason_of
from QualitySentinelLib.files import atomic_file
from QualitySentinelLib.slices import Preset
from QualitySentinelLib.slices.place import PLACE

from .columns import COLUMNS, OLD_NAMES, PICTURES, Pairs

SUFFIX = ".pairs.h5"
_VERSION = 1
_AMOUNTS = "amounts"
_ROWS = 1 << 14
"""Rows of a column under one checksum."""


class PairFile:
    """The pairs of one subject, opened for reading: small columns at once, pictures when asked for.

    ``preset`` says how the pictures were made, ``columns`` has every column of :class:`Pairs` that is no picture.

    Args:
        pictures_only: read and check no columns: much faster, for a file that was opened whole before.

    Raises:
        InputError: missing, damaged, cut short or not ours; names the file.
    """

    def __init__(self, path: Path, pictures_only: bool = False) -> None:
        self.path = Path(path)
        try:
            # No cache of chunks: each is one picture, read once in a long while, and hundreds of files may be open.
            self._file = h5py.File(self.path, "r", rdcc_nbytes=0)
            if self._file.attrs.get("quality_sentinel_pairs") != _VERSION:
                raise ValueError("written by another version, or not by Quality Sentinel")
            self.preset = Preset.from_json(json.loads(self._file.attrs["preset"]))
            if pictures_only:
                self.columns = {}
                return
            named = {OLD_NAMES.get(name, name): name for name in self._file}
            self.columns = {
                name: _column(self._file[named.get(name, name)][...])
                for name in COLUMNS if name in named or name != "place"
            }  # fmt: skip
            rows = {len(values) for values in self.columns.values()} | {len(self._file[name]) for name in self._there}
            self.columns.setdefault("place", np.zeros((max(rows), len(PLACE)), np.float32))
            if len(rows) != 1:
                raise ValueError("its columns differ in length")
            dsc, pixel_mm = (self.columns[name] for name in ("dsc", "pixel_mm"))
            if not (((dsc >= 0) & (dsc <= 1)).all() and ((pixel_mm > 0) & (pixel_mm < np.inf)).all()):
                raise ValueError("it holds numbers that are no DSC, or no pixel sizes")  # files of old: no checksums
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise self._damaged(error) from error

    def __len__(self) -> int:
        return len(self.columns["dsc"])

    @property
    def _there(self) -> tuple[str, ...]:
        """The pictures that the file holds: those of old hold no locator."""
        return tuple(name for name in PICTURES if name in self._file or name != "locator")

    def pictures(self, row: int | slice) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Images ``[C, S, S]``, reference ``[S, S]`` and locator ``[2, L, L]`` of one pair, uint8; of a slice of rows
        with N before that. A file of old has no locator.

        Raises:
            InputError: this part of the file is damaged.
        """
        try:
            images, reference, *locator = (self._file[name][row] for name in self._there)
            return images, reference, *(locator or [None])
        except (OSError, KeyError, ValueError) as error:
            raise self._damaged(error) from error

    def read(self) -> Pairs:
        """All pairs of the file."""
        try:
            pictures = {"locator": np.zeros((len(self), 2, 0, 0), np.uint8)}
            pictures |= {name: self._file[name][...] for name in self._there}
            return Pairs(**pictures, **self.columns)
        except (OSError, KeyError, ValueError) as error:
            raise self._damaged(error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _damaged(self, error: Exception) -> InputError:
        return InputError(f"{self.path}: not a usable pair file ({reason_of(error)}); delete it and make pairs again")


def write_pairs(pairs: Pairs | Iterable[Pairs], path: Path, preset: Preset, amounts: Mapping | None = None) -> int:
    """Write the pairs of one subject whole to ``path`` (name it with :data:`SUFFIX`); how many they are.

    Args:
        pairs: all of them, or parts that are written one after another, for more than fit in memory.
        amounts: what was asked for, plain JSON; see :func:`amounts_of`.
    """
    shapes = {"images": (preset.channels, preset.size, preset.size), "reference": (preset.size, preset.size)}
    if preset.locator:
        shapes["locator"] = (2, preset.locator, preset.locator)
    columns: dict[str, list[np.ndarray]] = {name: [] for name in COLUMNS}
    with atomic_file(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["quality_sentinel_pairs"] = _VERSION
        file.attrs["preset"] = json.dumps(preset.to_json())
        if amounts is not None:
            file.attrs[_AMOUNTS] = json.dumps(dict(amounts), sort_keys=True)
        for name, shape in shapes.items():
            file.create_dataset(
                name, shape=(0, *shape), maxshape=(None, *shape), dtype=np.uint8, chunks=(1, *shape),
                compression="lzf", fletcher32=True,
            )  # fmt: skip
        for part in [pairs] if isinstance(pairs, Pairs) else pairs:
            for name in shapes:
                values, stored = getattr(part, name), file[name]
                stored.resize(len(stored) + len(values), axis=0)
                if len(values):
                    stored[-len(values) :] = values
            for name in COLUMNS:
                columns[name].append(getattr(part, name))
        if not columns["dsc"]:
            raise ValueError(f"{path}: no pairs to write")
        for name, parts in columns.items():
            values = np.concatenate(parts)
            values = np.char.encode(values, "utf-8") if values.dtype.kind == "U" else values
            checked = (
                {"chunks": (min(len(values), _ROWS), *values.shape[1:]), "fletcher32": True} if len(values) else {}
            )
            file.create_dataset(name, data=values, **checked)
        return len(values)


def amounts_of(path: Path) -> dict | None:
    """What was asked for when a pair file was made; ``None`` when it does not say, or cannot be read."""
    try:
        with h5py.File(path, "r") as file:
            amounts = json.loads(file.attrs[_AMOUNTS])
    except (OSError, KeyError, ValueError, TypeError):
        return None
    return amounts if isinstance(amounts, dict) else None


def pair_files(folder: Path) -> list[Path]:
    """The pair files in a folder, sorted. Raises ``InputError``: there are none."""
    found = sorted(path for path in Path(folder).glob("*" + SUFFIX) if not path.name.startswith("."))
    if not found:
        raise InputError(f"{folder}: holds no *{SUFFIX}; make them with: quality-sentinel make-pairs")
    return found


def owner_of(path: Path) -> tuple[str, str]:
    """Patient and source of a pair file; empty when it is damaged or has no pairs."""
    try:
        file = PairFile(path)
    except InputError:
        return "", ""
    file.close()
    return (str(file.columns["patient"][0]), str(file.columns["source"][0])) if len(file) else ("", "")


def _column(values: np.ndarray) -> np.ndarray:
    return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
