"""Pairs streamed from their files: any number of them, none held in memory but the batch at hand."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.slices import Preset
from QualitySentinelLib.slices.place import LATERAL
from QualitySentinelLib.text import EmbeddingTable

from ..candidates import OTHER_SIDE, OTHER_STRUCTURE
from ..model_files import PHANTOM
from ..pairs import PairFile, restored
from ..pairs.columns import channels_for
from .options import TrainingOptions
from .renaming import MASKS_OWN_FROM, Renaming

log = logging.getLogger(__name__)

_LIES_ON_FROM = 0.3
"""A mask with this DSC or more lies on its structure, however badly it is drawn."""
_MOST_OPEN = 400
"""Files open at once: systems allow a process 1024 of them or fewer."""


class Batch(NamedTuple):
    """Pairs, float32."""

    images: Tensor  # [B, C, S, S]
    reference: Tensor  # [B, S, S] in 0..1
    embeddings: Tensor  # [B, D]
    pixel_mm: Tensor  # [B]
    dsc: Tensor  # [B]
    known: Tensor  # [B], 1 where the reference is known outside the mask too, else 0
    place: Tensor  # [B, P], where the masks lie
    claims: Tensor  # [B, C], what the names claim, see ``slices.place.name_numbers``
    locator: Tensor  # [B, 2, L, L] in 0..1
    identity: Tensor  # [B], 1 where the mask lies on the structure that is named, 0 where it lies on another, else -1


class PairDataset(Dataset):
    """Pairs of many files, handed out a batch at a time.

    A file that cannot be read is named in a warning and left out; so is one that turns out damaged later, whose pairs
    are then replaced by others. Of each pair a few numbers are held in memory, about 30 bytes.

    A network without a neighbour channel is not shown empty slices: it sees nothing of the mask there, and inference
    asks it for none.

    Args:
        paths: pair files.
        table: embeddings of the structures; names it lacks get the neutral one.
        preset: the preprocessing wanted: that of the files, or a part of it.
        options: what is left out, mirrored and told under other names.

    Attributes:
        paths: the files used.
        sources: the data sets, sorted.
        source: which of them each pair is from, int16 [N].
        origins: what made the masks, ``simulated`` and ``network``, say.
        origin: which of them made each pair's, int8 [N].
        empty: whether each pair shows an empty slice, bool [N].

    Raises:
        InputError: no file can be used.
    """

    def __init__(self, paths: Sequence[Path], table: EmbeddingTable, preset: Preset, options: TrainingOptions) -> None:
        self.paths, self.preset = list[Path](), preset
        self._channels: list[list[int]] = []
        kept = ("file", "row", "pixel_mm", "dsc", "place", "identity", "empty")
        parts: dict[str, list[np.ndarray]] = {name: [] for name in (*kept, "structure", "source", "origin", "patient")}
        names: dict[str, dict[str, int]] = {name: {} for name in ("structure", "source", "origin", "patient")}
        for path in paths:
            try:
                file = PairFile(path)
                channels = channels_for(file.preset, preset)
            except (InputError, ValueError) as error:
                log.warning("skipped: %s", error if isinstance(error, InputError) else f"{path}: {error}")
                continue
            columns = file.columns
            file.close()
            wanted = ~np.isin(columns["structure"], options.leave_out)
            if not preset.neighbour:
                wanted &= columns["area"] > 0
            rows = np.flatnonzero(wanted).astype(np.int32)
            parts["row"].append(rows)
            parts["file"].append(np.full(len(rows), len(self.paths), np.int32))
            parts["empty"].append(columns["area"][rows] == 0)
            for name in ("pixel_mm", "dsc", "place"):
                parts[name].append(columns[name][rows].astype(np.float32))
            parts["identity"].append(_identity({name: values[rows] for name, values in columns.items()}))
            for name, numbers in names.items():
                values, inverse = np.unique(columns[name][rows], return_inverse=True)
                codes = [numbers.setdefault(str(value), len(numbers)) for value in values]
                parts[name].append(np.array(codes, np.int32)[inverse])
            self.paths.append(Path(path))
            self._channels.append(channels)
        if not sum(len(part) for part in parts["row"]):
            raise InputError(f"{Path(paths[0]).parent if paths else 'no folder'}: no usable pair file to train on")
        columns = {name: np.concatenate(part) for name, part in parts.items()}
        if 0 < options.most_pairs < len(columns["row"]):
            rng = np.random.default_rng(options.seed)
            chosen = np.sort(rng.permutation(len(columns["row"]))[: options.most_pairs])
            columns = {name: values[chosen] for name, values in columns.items()}
        self._file, self._row, self.empty = columns["file"], columns["row"], columns["empty"]
        self.sources = sorted(names["source"])
        rank = {name: number for number, name in enumerate(self.sources)}
        self.source = np.array([rank[name] for name in names["source"]], np.int16)[columns["source"]]
        self.origins, self.origin = list(names["origin"]), columns["origin"].astype(np.int8)
        self._person, self._persons = columns["patient"], list(names["patient"])
        self._pixel_mm, self._dsc = torch.from_numpy(columns["pixel_mm"]), torch.from_numpy(columns["dsc"])
        self._place, self._identity = columns["place"], columns["identity"]
        self._structures = list(names["structure"])
        self._structure = columns["structure"]
        self._renaming = Renaming(
            self._structures, self._structure, self._file, np.isin(np.array(self.sources)[self.source], options.mirror),
            ~self.empty & (columns["dsc"] >= MASKS_OWN_FROM), options.wrong_name_share, table, options.seed,
            options.unheard_name_share,
        )  # fmt: skip
        self._open: OrderedDict[int, PairFile] = OrderedDict()
        self._bad: set[int] = set()

    def trained_on(self) -> dict:
        """What the pairs are: ``pairs``, ``structures``, ``sources`` with ``pairs`` and ``persons`` of each, and
        ``patients``, how many each structure was seen in, on CTs that were not made by a program.
        """
        sources = {}
        real = np.array(["," not in name and name != PHANTOM for name in self.sources])[self.source]
        seen = np.unique(np.stack((self._structure[real], self._person[real])), axis=1)[0]
        seen_in = np.bincount(seen, minlength=len(self._structures))
        for number, name in enumerate(self.sources):
            rows = self.source == number
            patients = sorted(self._persons[code] for code in np.unique(self._person[rows]))
            sources[name] = {"pairs": int(rows.sum()), "persons": patients}
        return {
            "pairs": len(self),
            "structures": sorted(self._structures[code] for code in np.unique(self._structure)),
            "patients": {name: int(seen_in[code]) for code, name in enumerate(self._structures)},
            "sources": {name: source for name, source in sources.items() if source["pairs"]},
        }

    @property
    def wrong_share(self) -> float:
        """Share of the pairs with a name known to be right or wrong that are told a wrong one."""
        chance = np.where(self._identity == 0, 1.0, self._renaming.wrong_chance)[self._identity >= 0]
        return float(chance.mean()) if len(chance) else 0.0

    def __len__(self) -> int:
        return len(self._row)

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_open": OrderedDict()}  # open files do not travel to worker processes

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        size = self.preset.size
        images = np.empty((len(indices), self.preset.channels, size, size), np.uint8)
        reference = np.empty((len(indices), size, size), np.uint8)
        locator = np.zeros((len(indices), 2, self.preset.locator, self.preset.locator), np.uint8)
        used = np.array(indices)
        for at in range(len(used)):
            used[at] = self._fill(int(used[at]), images[at], reference[at], locator[at])
        renamed = self._renaming.draw(used)
        for pictures in (images, reference, locator):
            pictures[renamed.mirrored] = pictures[renamed.mirrored][..., ::-1]
        place = self._place[used]
        place[renamed.mirrored, LATERAL] *= -1
        reference[renamed.wrong] = 0
        right = torch.from_numpy(~renamed.wrong).float()
        index = torch.from_numpy(used)
        return Batch(
            restored(torch.from_numpy(images).float()),
            torch.from_numpy(reference).float() / 255.0,
            torch.from_numpy(renamed.vectors),
            self._pixel_mm[index],
            self._dsc[index] * right,
            right,
            torch.from_numpy(place),
            torch.from_numpy(renamed.claims),
            torch.from_numpy(locator).float() / 255.0,
            torch.from_numpy(np.where(renamed.wrong, 0, self._identity[used]).astype(np.float32)),
        )

    def _fill(self, index: int, images: np.ndarray, reference: np.ndarray, locator: np.ndarray) -> int:
        """Read one pair, or the next one that is not damaged; its index."""
        for step in range(len(self)):
            chosen = (index + step) % len(self)
            number = int(self._file[chosen])
            if number in self._bad:
                continue
            try:
                picture, reference[...], small = self._opened(number).pictures(int(self._row[chosen]))
                images[...] = picture[self._channels[number]]
                if small is not None and self.preset.locator:
                    locator[...] = small
                return chosen
            except InputError as error:
                log.warning("skipped from here on: %s", error)
                self._bad.add(number)
        raise InputError(f"{self.paths[0].parent}: every pair file is damaged; make pairs again")

    def _opened(self, number: int) -> PairFile:
        """A file, opened for its pictures; those read last stay open."""
        if number not in self._open:
            self._open[number] = PairFile(self.paths[number], pictures_only=True)
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(number)
        return self._open[number]


def _identity(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Whether masks lie on the structure that is named, int8 [N]: 1 yes, 0 on another, -1 hard to say."""
    another = np.zeros(len(columns["dsc"]), bool)
    for kind in (OTHER_SIDE, OTHER_STRUCTURE):
        another |= np.char.find(columns["kind"], kind) >= 0
    masked, known = columns["area"] > 0, columns["place"].any(axis=1)  # files of old say nothing of the place
    own = (columns["dsc"] >= _LIES_ON_FROM) & ~another
    return np.where(masked & known, np.where(own, 1, np.where(another & (columns["dsc"] < 0.05), 0, -1)), -1).astype(
        np.int8
    )


class EpochSampler(Sampler[int]):
    """Draws the pairs of each epoch by the shares of sources, origins and empty slices; the epoch's number is the seed.

    Every pair is drawn once before any is drawn again, as far as the shares allow.
    """

    def __init__(self, dataset: PairDataset, options: TrainingOptions) -> None:
        self._count = options.pairs_per_epoch or len(dataset)
        self._seed, self._epoch = options.seed, 0
        groups = []
        for number, source in enumerate(dataset.sources):
            share_of_source = options.source_shares.get(source, 1.0)
            halves = [np.flatnonzero((dataset.source == number) & (dataset.empty == empty)) for empty in (True, False)]
            shares = [options.empty_share, 1.0 - options.empty_share] if all(map(len, halves)) else [1.0, 1.0]
            for rows, share in zip(halves, shares, strict=True):
                parts = _by_origin(dataset, rows, options.origin_shares)
                groups += [(part, share_of_source * share * s) for part, s in parts]
        if not options.pairs_per_epoch:
            groups = [(np.arange(len(dataset)), 1.0)]
        bounds = np.cumsum([0.0, *(share for _, share in groups)])
        if not bounds[-1]:
            raise InputError("source_shares leaves nothing to train on; give a source of the pairs a share above 0")
        counts = np.diff(np.rint(bounds / bounds[-1] * self._count).astype(int))
        self._groups = [(rows, int(wanted)) for (rows, _), wanted in zip(groups, counts, strict=True) if wanted]

    def set_epoch(self, epoch: int) -> None:
        """Lightning says which epoch comes."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        drawn = []
        for number, (rows, wanted) in enumerate(self._groups):
            first = self._epoch * wanted
            # Permutation p of a group serves its p-th pass, whichever epoch that falls into.
            while wanted > 0:
                turn, offset = divmod(first, len(rows))
                order = np.random.default_rng((self._seed, number, turn)).permutation(rows)
                part = order[offset : offset + wanted]
                drawn.append(part)
                first, wanted = first + len(part), wanted - len(part)
        order = np.random.default_rng((self._seed, self._epoch, 1 << 20)).permutation(np.concatenate(drawn))
        return iter(order.tolist())


def _by_origin(dataset: PairDataset, rows: np.ndarray, shares: dict) -> list[tuple[np.ndarray, float]]:
    """``rows`` with the share 1, or those of each origin with its own; together they have 1 then, too."""
    if not shares or not len(rows):
        return [(rows, 1.0)] if len(rows) else []
    parts = [(rows[dataset.origin[rows] == n], shares.get(name, 1.0)) for n, name in enumerate(dataset.origins)]
    parts = [(part, share) for part, share in parts if len(part)]
    total = sum(share for _, share in parts)
    return [(part, share / total) for part, share in parts] if total else []
