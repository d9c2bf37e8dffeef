"""Pairs streamed from their files: any number of them, none held in memory but the batch at hand."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.slices import Preset
from QualitySentinelLib.text import EmbeddingTable

from ..pairs import PairFile, restored
from ..pairs.columns import channels_for

log = logging.getLogger(__name__)

Batch = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""images [B, C, S, S], reference [B, S, S] in 0..1, embeddings [B, D], pixel_mm [B], dsc [B]; float32."""


class PairDataset(Dataset):
    """Pairs of many files, handed out a batch at a time.

    A file that cannot be read is named in a warning and left out; so is one that turns out damaged later, whose pairs
    are then replaced by others.

    Args:
        paths: pair files.
        table: embeddings of the structures; names it lacks get the neutral one.
        preset: the preprocessing wanted: that of the files, or a part of it.

    Raises:
        InputError: no file can be used.
    """

    def __init__(self, paths: Sequence[Path], table: EmbeddingTable, preset: Preset) -> None:
        self.paths, self.preset = [], preset
        parts = {name: [] for name in ("file", "row", "pixel_mm", "dsc", "structure", "source", "area", "person")}
        for path in paths:
            try:
                file = PairFile(path)
                self._channels = channels_for(file.preset, preset)
            except (InputError, ValueError) as error:
                log.warning("skipped: %s", error if isinstance(error, InputError) else f"{path}: {error}")
                continue
            parts["file"].append(np.full(len(file), len(self.paths), np.int32))
            parts["row"].append(np.arange(len(file), dtype=np.int32))
            for name in parts.keys() - {"file", "row"}:
                parts[name].append(file.columns[name])
            self.paths.append(Path(path))
            file.close()
        if not any(len(part) for part in parts["row"]):
            raise InputError(f"{Path(paths[0]).parent if paths else 'no folder'}: no usable pair file to train on")
        columns = {name: np.concatenate(part) for name, part in parts.items()}
        self._file, self._row = columns["file"], columns["row"]
        self.source, self.empty = columns["source"], columns["area"] == 0
        self.person, self.structure = columns["person"], columns["structure"]
        self._pixel_mm, self._dsc = torch.from_numpy(columns["pixel_mm"]), torch.from_numpy(columns["dsc"])
        known, embedding = np.unique(columns["structure"], return_inverse=True)
        vectors = [table.vector(name if name in table else None) for name in map(str, known)]
        self._vectors = torch.from_numpy(np.stack(vectors))
        self._embedding = torch.from_numpy(embedding.astype(np.int64))
        self._open: dict[int, PairFile] = {}
        self._bad: set[int] = set()

    def __len__(self) -> int:
        return len(self._row)

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_open": {}}  # open files do not travel to worker processes

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        size = self.preset.size
        images = np.empty((len(indices), self.preset.channels, size, size), np.uint8)
        reference = np.empty((len(indices), size, size), np.uint8)
        used = np.array(indices)
        for at in range(len(used)):
            used[at] = self._fill(int(used[at]), images[at], reference[at])
        index = torch.from_numpy(used)
        return (
            restored(torch.from_numpy(images).float()),
            torch.from_numpy(reference).float() / 255.0,
            self._vectors[self._embedding[index]],
            self._pixel_mm[index],
            self._dsc[index],
        )

    def _fill(self, index: int, images: np.ndarray, reference: np.ndarray) -> int:
        """Read one pair, or the next one that is not damaged; its index."""
        for step in range(len(self)):
            chosen = (index + step) % len(self)
            number = int(self._file[chosen])
            if number in self._bad:
                continue
            try:
                if number not in self._open:
                    self._open[number] = PairFile(self.paths[number])
                picture, reference[...] = self._open[number].pictures(int(self._row[chosen]))
                images[...] = picture[self._channels]
                return chosen
            except InputError as error:
                log.warning("skipped from here on: %s", error)
                self._bad.add(number)
        raise InputError(f"{self.paths[0].parent}: every pair file is damaged; make pairs again")


class EpochSampler(Sampler[int]):
    """Draws the pairs of each epoch by the shares of sources and of empty slices; the epoch's number is the seed.

    Every pair is drawn once before any is drawn again, as far as the shares allow.
    """

    def __init__(self, dataset: PairDataset, count: int, source_shares: dict, empty_share: float, seed: int) -> None:
        self._count = count or len(dataset)
        self._seed, self._epoch = seed, 0
        self._groups = []
        for source in np.unique(dataset.source):
            for empty, share in ((True, empty_share), (False, 1.0 - empty_share)):
                rows = np.flatnonzero((dataset.source == source) & (dataset.empty == empty))
                if len(rows):
                    self._groups.append((rows, share * float(source_shares.get(str(source), 1.0))))
        if not count:
            self._groups = [(np.arange(len(dataset)), 1.0)]
        total = sum(share for _, share in self._groups)
        self._groups = [(rows, share / total) for rows, share in self._groups if share > 0]

    def set_epoch(self, epoch: int) -> None:
        """Lightning says which epoch comes."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        drawn = []
        for number, (rows, share) in enumerate(self._groups):
            wanted = round(share * self._count)
            first = self._epoch * wanted
            # Permutation p of a group serves its p-th pass, whichever epoch that falls into.
            while wanted > 0:
                turn, offset = divmod(first, len(rows))
                order = np.random.default_rng((self._seed, number, turn)).permutation(rows)
                part = order[offset : offset + wanted]
                drawn.append(part)
                first, wanted = first + len(part), wanted - len(part)
        order = np.random.default_rng((self._seed, self._epoch, 1 << 20)).permutation(np.concatenate(drawn))
        return iter(order[: self._count].tolist())
