"""The published network (Chen et al. 2024, arXiv 2406.00327): a ResNet whose features are gated by image and text."""

from __future__ import annotations

import torch
from torch import nn

from ..checks import choice, whole_number
from ..errors import not_installed

BACKBONES = {"resnet18": 512, "resnet34": 512, "resnet50": 2048, "resnet101": 2048, "resnet152": 2048}
"""Features F of each backbone."""
UNUSED_PREFIXES = ("net.conv1.", "net.bn1.", "net.fc.")
"""Tensors that every published checkpoint holds and no forward pass uses."""


class PublishedNetwork(nn.Module):
    """The regressor as published, with the published names and shapes of its tensors, without its unused ones.

    A stem of its own for two channels (CT, mask), the residual stages of torchvision's ResNet, the average v over the
    last map, and with the text embedding e and c = (v, e): ``y = fc2(attention2(c) * fc1(attention1(c) * v))``. All
    four are linear, no activation stands between them and the output is not limited to 0..1.

    Args:
        backbone: ``resnet18``, ``resnet34``, ``resnet50``, ``resnet101`` or ``resnet152``.
        hidden_dim: size of the hidden layer; 50 as published.
        embedding_dim: size D of the text embedding; 512 as published.

    Raises:
        ValueError: a value is not sensible.
    """

    def __init__(self, backbone: str = "resnet50", hidden_dim: int = 50, embedding_dim: int = 512) -> None:
        super().__init__()
        features = BACKBONES[choice(backbone, "backbone", BACKBONES)]
        whole_number(hidden_dim, "hidden_dim", 1, 8192)
        whole_number(embedding_dim, "embedding_dim", 1, 8192)
        self.embedding_dim, self.in_channels = embedding_dim, 2
        trunk = _resnet(backbone)
        self.net = nn.ModuleDict({name: getattr(trunk, name) for name in ("layer1", "layer2", "layer3", "layer4")})
        self.conv1 = nn.Conv2d(self.in_channels, 64, 7, stride=2, padding=3)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.fc1 = nn.Linear(features, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, 1)
        self.attention1 = nn.Linear(features + embedding_dim, features)
        self.attention2 = nn.Linear(features + embedding_dim, hidden_dim)

    def forward(
        self, images: torch.Tensor, embeddings: torch.Tensor, pixel_mm: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Raw DSC ``[N, 1]``.

        Args:
            images: float32 ``[N, 2, 256, 256]``: CT, mask.
            embeddings: float32 ``[N, D]``, or ``[1, D]`` for all.
            pixel_mm: not used; the published network does not know the scale.
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for stage in self.net.values():
            x = stage(x)
        v = x.mean(dim=(2, 3))
        c = torch.cat((v, embeddings.expand(v.shape[0], -1)), dim=1)
        return self.fc2(self.attention2(c) * self.fc1(self.attention1(c) * v))


def _resnet(backbone: str) -> nn.Module:
    """torchvision's ResNet, randomly initialized. No other network needs torchvision."""
    try:
        from torchvision import models
    except ImportError as error:
        raise not_installed("a published checkpoint", "torchvision", "published") from error
    return getattr(models, backbone)(weights=None)


def without_unused(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A published state dict without the tensors that are in every checkpoint and never used."""
    return {key: value for key, value in state.items() if not key.startswith(UNUSED_PREFIXES)}


def unused_shapes(backbone: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the unused tensors of a checkpoint with this backbone."""
    with torch.device("meta"):
        trunk = _resnet(backbone)
    shapes = {"net." + key: tuple(value.shape) for key, value in trunk.state_dict().items()}
    return {key: shape for key, shape in shapes.items() if key.startswith(UNUSED_PREFIXES)}


def architecture_of(state: dict[str, torch.Tensor]) -> dict:
    """The architecture that a published state dict belongs to, found by its keys and shapes.

    Raises:
        ValueError: it is none of the five backbones.
    """
    try:
        hidden_dim, features = state["fc1.weight"].shape
        embedding_dim = state["attention1.weight"].shape[1] - features
    except (KeyError, ValueError, AttributeError, IndexError):
        raise ValueError("it is no checkpoint of the published network") from None
    keys, sizes = set(without_unused(state)), {"hidden_dim": int(hidden_dim), "embedding_dim": int(embedding_dim)}
    for backbone, width in BACKBONES.items():
        if width == features:
            with torch.device("meta"):
                network = PublishedNetwork(backbone, **sizes)
            if network.state_dict().keys() == keys:
                return {"kind": "published", "backbone": backbone, **sizes}
    raise ValueError(f"its tensors fit none of {', '.join(BACKBONES)}")
