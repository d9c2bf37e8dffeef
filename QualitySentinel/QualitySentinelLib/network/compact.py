"""The compact network, ours: draws the reference that it expects, and judges the mask by it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from ..checks import whole_number, whole_numbers

_AREAS = 3
"""Areas that join the head: mask, reference inside it, reference outside it."""
_AREA_FLOOR = 2.5e-4
"""About one pixel of the half-resolution maps, as a share of the crop: keeps the ratio defined where all is empty."""
_BEYOND_UNIT = 1e-3
"""Share of the crop that the untrained head expects of the reference beyond the crop, about."""


class CompactNetwork(nn.Module):
    """Judges a mask by drawing its own: predicts where the reference is, and from that the DSC of the slice.

    A stem (two 3x3 convolutions and a pooling, stride 4) and four stages of basic residual blocks (He et al. 2016; the
    activation comes last so that batch normalization folds into the convolutions). What the structure is (its text
    embedding, layer-normalized) and how large a pixel is (log2 of mm) pass through one hidden layer; the result scales
    and shifts the channels of every block of the last three stages (FiLM, Perez et al. 2018).

    The maps of all stages are summed from coarse to fine (feature pyramid, Lin et al. 2017) and give, at half the
    input's resolution, two shares per pixel: how much of the mask there belongs to the reference (``inside``), and how
    much of the rest does (``outside``). With the mask these are the areas of intersection I and reference R, and
    ``(2 I + e) / (R + M + O + e)`` is the DSC, where O is the reference's area beyond the crop; a linear head on pooled
    features, the condition and these areas gives O and a correction. Trained on reference masks, the maps learn from
    every pixel what a DSC alone, one number per slice, tells slowly.

    With ``told_dim``, the network is also told where in the body the mask lies and which side and level its name claims
    (``slices.place.told``), and sees a small picture of the whole body (the locator). They join the condition, and a
    gate, the probability that the mask lies on the structure that its name says, multiplies the DSC of masks that are
    not empty.

    Where the mask is empty the same formula tends to 1 when no reference is expected either, and to 0 when one is:
    the output is then the probability that nothing was missed.

    Args:
        embedding_dim: size D of the text embedding.
        in_channels: channels C of the images.
        mask_channel: number of the channel that shows the mask, -1 outside and 1 inside.
        widths: channels of the four stages.
        blocks: residual blocks of the four stages.
        map_width: channels of the maps from which the shares are read.
        condition_dim: size of the hidden layer of the condition.
        head_dim: size of the hidden layer of the head.
        told_dim: numbers of the place and the claims of the name; 0: neither these, nor a locator, nor a gate.

    Raises:
        ValueError: a value is not sensible.
    """

    def __init__(
        self,
        embedding_dim: int = 384,
        in_channels: int = 4,
        mask_channel: int = 2,
        widths: Sequence[int] = (24, 64, 128, 192),
        blocks: Sequence[int] = (1, 1, 2, 2),
        map_width: int = 48,
        condition_dim: int = 128,
        head_dim: int = 96,
        told_dim: int = 0,
    ) -> None:
        super().__init__()
        for value, name, least, most in (
            (told_dim, "told_dim", 0, 1024), (embedding_dim, "embedding_dim", 1, 8192),
            (in_channels, "in_channels", 2, 32), (map_width, "map_width", 4, 1024),
            (condition_dim, "condition_dim", 1, 2048), (head_dim, "head_dim", 1, 2048),
        ):  # fmt: skip
            whole_number(value, name, least, most)
        whole_number(mask_channel, "mask_channel", 0, in_channels - 1)
        widths = whole_numbers(widths, "widths", 4, 4, 1024)
        blocks = whole_numbers(blocks, "blocks", 4, 1, 16)
        self.embedding_dim, self.in_channels, self.mask_channel = embedding_dim, in_channels, mask_channel
        self.told_dim = told_dim
        self.stem = _Stem(in_channels, widths[0])
        self.stages = nn.ModuleList()
        previous = widths[0]
        for number, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            stage = nn.ModuleList()
            for block in range(count):
                stride = 2 if number > 0 and block == 0 else 1
                stage.append(_Block(previous, width, stride, condition_dim if number >= 1 else 0))
                previous = width
            self.stages.append(stage)
        self.embedding_norm = nn.LayerNorm(embedding_dim, elementwise_affine=False)
        self.condition = nn.Sequential(nn.Linear(embedding_dim + 1, condition_dim), nn.ReLU())
        self.pyramid = _Pyramid(widths, map_width)
        self.head = nn.Sequential(
            nn.Linear(2 * previous + condition_dim + _AREAS, head_dim), nn.ReLU(), nn.Linear(head_dim, 2)
        )
        nn.init.zeros_(self.head[-1].weight)  # starts from the shares alone
        self.head[-1].bias.data = torch.tensor([0.0, -3.0])  # no correction; hardly any reference beyond the crop
        if told_dim:
            self.identity = _Identity(embedding_dim, told_dim, 2 * previous, condition_dim)

    def forward(self, *inputs: torch.Tensor | None) -> torch.Tensor:
        """Raw DSC ``[N, 1]`` (not limited to 0..1), from what :meth:`with_shares` takes."""
        return self.with_shares(*inputs)[0]

    def with_shares(
        self,
        images: torch.Tensor,
        embeddings: torch.Tensor,
        pixel_mm: torch.Tensor | None = None,
        told: torch.Tensor | None = None,
        locator: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Raw DSC ``[N, 1]``; the logits of the shares ``[N, 2, S/2, S/2]``: inside the mask, outside it; and those of
        the gate ``[N, 1]``, if there is one.

        Args:
            images: float32 ``[N, C, S, S]``; S a multiple of 32, at least 32.
            embeddings: float32 ``[N, D]``, or ``[1, D]`` for all.
            pixel_mm: float32 ``[N]``, mm per pixel; ``None`` means 1 mm.
            told: float32 ``[N, told_dim]``; needed, as ``locator`` is, by a network with ``told_dim``.
            locator: float32 ``[N, 2, L, L]``, the body and the mask in it, 0..1; L a multiple of 16.
        """
        number = images.shape[0]  # not len(): a traced network takes any number of slices
        text = self.embedding_norm(embeddings).expand(number, -1)
        scale = torch.zeros_like(text[:, :1]) if pixel_mm is None else torch.log2(pixel_mm.reshape(-1, 1)).to(text)
        asked = torch.cat((text, scale.expand(number, 1)), dim=1)
        if self.told_dim:
            seen = self.identity.seen(told, locator)
            condition = self.condition[1](self.condition[0](asked) + self.identity.condition(seen))
        else:
            condition = self.condition(asked)
        features, maps = self.stem(images), []
        for stage in self.stages:
            for block in stage:
                features = block(features, condition)
            maps.append(features)
        logits = self.pyramid(maps)
        mask, inside, outside = self._areas(images, logits)
        areas = torch.stack((mask, inside, outside), dim=1)
        # Roots: half of the crop and a few pixels of it should both move the head.
        looked = features.mean(dim=(2, 3)), features.amax(dim=(2, 3))
        pooled = (*looked, condition, (areas + _AREA_FLOOR).sqrt())
        correction, beyond = self.head(torch.cat(pooled, dim=1)).chunk(2, dim=1)
        beyond = _BEYOND_UNIT * nn.functional.softplus(beyond)
        inside, outside, mask = inside[:, None], outside[:, None], mask[:, None]
        reference = inside + outside + beyond
        ratio = (2.0 * inside + _AREA_FLOOR) / (reference + mask + _AREA_FLOOR)
        if not self.told_dim:
            return ratio + correction, logits, None
        gate = self.identity.gate(seen, text, torch.cat(looked, dim=1))
        # where nothing is marked, there is nothing that could be another structure
        return torch.where(mask > 0, (ratio + correction) * gate.sigmoid(), ratio + correction), logits, gate

    def _areas(self, images: torch.Tensor, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Areas ``[N]`` as shares of the crop: of the mask, of the reference inside it, and outside it."""
        mask = nn.functional.avg_pool2d((images[:, self.mask_channel : self.mask_channel + 1] + 1.0) * 0.5, 2)
        inside, outside = logits.float().sigmoid().chunk(2, dim=1)
        inside, outside = mask * inside, (1.0 - mask) * outside
        return tuple(area.mean(dim=(1, 2, 3)) for area in (mask, inside, outside))


def _conv3(inputs: int, width: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)


class _Identity(nn.Module):
    """Whether a mask can be what its name says: from its place, the small picture of the body, and the crop."""

    _WIDTHS = (16, 32, 64, 96)
    _SEEN, _HIDDEN = 128, 128

    def __init__(self, embedding_dim: int, told_dim: int, looked_dim: int, condition_dim: int) -> None:
        super().__init__()
        layers, previous = [], 2
        for width in self._WIDTHS:
            layers += [_conv3(previous, width, 2), nn.BatchNorm2d(width), nn.ReLU()]
            previous = width
        self.picture = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.seeing = nn.Sequential(nn.Linear(16 * previous + told_dim, self._SEEN), nn.ReLU())
        self.condition = nn.Linear(self._SEEN + told_dim, condition_dim)
        self.name = nn.Linear(embedding_dim + told_dim, self._HIDDEN)
        self.found = nn.Linear(self._SEEN + told_dim, self._HIDDEN)
        self.looked = nn.Linear(looked_dim, self._HIDDEN)
        self.judge = nn.Sequential(nn.Linear(3 * self._HIDDEN, self._HIDDEN), nn.ReLU(), nn.Linear(self._HIDDEN, 1))
        for layer in (self.condition, self.looked):  # starts as a network that knows no places
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.judge[-1].weight)
        nn.init.constant_(self.judge[-1].bias, 4.0)

    def seen(self, told: torch.Tensor, locator: torch.Tensor) -> torch.Tensor:
        """What place and picture show ``[N, seen]``."""
        return torch.cat((self.seeing(torch.cat((self.picture(locator), told), dim=1)), told), dim=1)

    def expect(self, learned_from: float, met: float) -> None:
        """Set the gate right for a share ``met`` of wrong names, after training with another share of them."""
        odds = [math.log(share / (1.0 - share)) for share in (learned_from, met)]
        with torch.no_grad():
            self.judge[-1].bias += odds[0] - odds[1]

    def gate(self, seen: torch.Tensor, text: torch.Tensor, looked: torch.Tensor) -> torch.Tensor:
        """Logits ``[N, 1]``, from what is seen, the name, and pooled features of the crop."""
        told = seen[:, self._SEEN :]
        name = self.name(torch.cat((text, told), dim=1))
        found = self.found(seen) + self.looked(looked)
        return self.judge(torch.cat((name * found, torch.relu(name), torch.relu(found)), dim=1))


class _Pyramid(nn.Module):
    """From the maps of the four stages (strides 4 to 32) to two logits at stride 2."""

    def __init__(self, widths: Sequence[int], width: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(inputs, width, 1) for inputs in widths)
        self.conv1, self.bn1 = _conv3(width, width), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv3(width, width), nn.BatchNorm2d(width)
        self.logits = nn.Conv2d(width, 8, 1)
        # Most of a mask is right, and most of what is outside it is no reference.
        nn.init.constant_(self.logits.bias[:4], 1.5)
        nn.init.constant_(self.logits.bias[4:], -4.0)

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        total = None
        for number in (3, 2, 1, 0):
            lateral = self.laterals[number](maps[number])
            total = lateral if total is None else lateral + nn.functional.interpolate(total, scale_factor=2.0)
            if number == 1:  # a look around at 16 x 16, where it costs little
                total = torch.relu(self.bn1(self.conv1(total)))
        total = torch.relu(self.bn2(self.conv2(total)))
        return nn.functional.pixel_shuffle(self.logits(total), 2)


class _Stem(nn.Module):
    """Two convolutions and a pooling: stride 4."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv3(in_channels, width, 2), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv3(width, width), nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = torch.relu(self.bn1(self.conv1(images)))
        return self.pool(torch.relu(self.bn2(self.conv2(features))))


class _Block(nn.Module):
    """A basic residual block; with a condition, its branch is scaled and shifted channel by channel."""

    def __init__(self, inputs: int, width: int, stride: int, condition_dim: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv3(inputs, width, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv3(width, width), nn.BatchNorm2d(width)
        self.downsample = None
        if stride != 1 or inputs != width:
            projection = nn.Conv2d(inputs, width, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(width))
        self.film = None
        if condition_dim:
            self.film = nn.Linear(condition_dim, 2 * width)
            nn.init.zeros_(self.film.weight)  # starts as no modulation at all
            nn.init.zeros_(self.film.bias)

    def forward(self, features: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        branch = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(features)))))
        if self.film is not None:
            gain, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)
            branch = branch * (1.0 + gain) + shift
        shortcut = features if self.downsample is None else self.downsample(features)
        return torch.relu(branch + shortcut)
