"""How a slice becomes the network's input: crop, size and intensity windows, as plain data kept in the model file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from ..checks import choice, finite_number, whole_number


@dataclass(frozen=True)
class Window:
    """An intensity window: HU are clipped to ``low..high`` and mapped linearly to ``out_low..out_high``."""

    low: float
    high: float
    out_low: float = -1.0
    out_high: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, finite_number(getattr(self, field.name), field.name))
        if not self.low < self.high or not self.out_low < self.out_high:
            raise ValueError(f"window {self.low:g}..{self.high:g} to {self.out_low:g}..{self.out_high:g} is not rising")


@dataclass(frozen=True)
class Preset:
    """A preprocessing preset.

    Raises:
        ValueError: a value is of another type or out of its sensible range.
    """

    name: str  # for people
    size: int  # side of the square network input in pixels
    # ``"canonical"`` (axial slices as a radiologist sees them) or ``"file"`` (rows and columns in the file's own order,
    # as the published code takes them)
    frame: str
    windows: tuple[Window, ...]  # one CT channel each, in channel order; the mask's channel follows them
    mask_range: tuple[float, float] = (-1.0, 1.0)  # the mask channel's values outside and inside the mask
    crop: str = "square_mm"  # ``"pixels"`` (the published rule, see ``crop.py``) or ``"square_mm"`` (ours)
    margin_px: int = 20  # margin around the mask for ``"pixels"``
    margin_mm: float = 20.0  # least margin around the mask for ``"square_mm"``
    min_side_mm: float = 96.0  # least side of the square for ``"square_mm"``
    extent_factor: float = 1.3  # least ratio of the square's side to the mask's larger extent for ``"square_mm"``
    # a last channel shows, in a slice where the mask is empty, the nearest slice's mask, the weaker the farther away:
    # the network can then tell whether the slice was missed. Empty in all other slices
    neighbour: bool = False
    # side of the small picture of the whole body that the network sees too, with the numbers of the mask's place (see
    # ``place.py``); 0: neither
    locator: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise ValueError("the preset's name is not text")
        choice(self.frame, "frame", ("canonical", "file"))
        choice(self.crop, "crop", ("pixels", "square_mm"))
        whole_number(self.size, "size", 16, 1024)
        whole_number(self.margin_px, "margin_px", 1, 4096)
        for name, least, most in (("margin_mm", 0, 1000), ("min_side_mm", 1, 1000), ("extent_factor", 1, 10)):
            object.__setattr__(self, name, finite_number(getattr(self, name), name, least, most))
        if not isinstance(self.neighbour, bool):
            raise ValueError("neighbour is neither true nor false")
        if whole_number(self.locator, "locator", 0, 256) and self.frame != "canonical":
            raise ValueError("a locator needs the canonical frame")
        windows = tuple(self.windows)
        if not 1 <= len(windows) <= 16 or not all(isinstance(w, Window) for w in windows):
            raise ValueError("a preset needs 1 to 16 intensity windows")
        object.__setattr__(self, "windows", windows)
        if len(self.mask_range) != 2:
            raise ValueError("mask_range needs two values")
        object.__setattr__(self, "mask_range", tuple(finite_number(v, "mask_range") for v in self.mask_range))

    @property
    def channels(self) -> int:
        """Channels of the network's input: the CT windows, the mask, and the neighbour where there is one."""
        return len(self.windows) + 1 + self.neighbour

    @property
    def mask_channel(self) -> int:
        """Number of the mask's channel."""
        return len(self.windows)

    @property
    def hu_range(self) -> tuple[float, float]:
        """The HU that matter: from the lowest to the highest end of all windows."""
        return min(w.low for w in self.windows), max(w.high for w in self.windows)

    def to_json(self) -> dict:
        """The preset as JSON-able data."""
        return asdict(self) | {"windows": [asdict(w) for w in self.windows], "mask_range": list(self.mask_range)}

    @classmethod
    def from_json(cls, data: dict) -> Preset:
        """The preset that :meth:`to_json` wrote.

        Raises:
            ValueError: keys are missing or unknown, or a value is not sensible.
        """
        try:
            windows = tuple(Window(**window) for window in data["windows"])
            return cls(**{**data, "windows": windows, "mask_range": tuple(data["mask_range"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a preprocessing preset ({error})") from error


PUBLISHED = Preset(
    name="published",
    size=256,
    frame="file",
    windows=(Window(-200.0, 200.0, -2.0, 2.0),),
    mask_range=(-1.0, 1.0),
    crop="pixels",
    margin_px=20,
)
"""Quality Sentinel as published (arXiv 2406.00327), float path of torchvision 0.16: 256 pixels, margin 20 px, distorted
where the crop is not square, rows and columns in the file's order."""

COMPACT = Preset(
    name="compact",
    size=128,
    frame="canonical",
    windows=(Window(-160.0, 240.0), Window(-1000.0, 1000.0)),
    mask_range=(-1.0, 1.0),
    crop="square_mm",
    margin_mm=20.0,
    min_side_mm=96.0,
    extent_factor=1.3,
    neighbour=True,
    locator=64,
)
"""Ours: square in mm and never distorted, canonical orientation, a soft-tissue and a wide window, missed slices judged.
96 mm on 128 pixels is the in-plane resolution of an ordinary CT (0.75 mm): a smaller field would magnify without
showing more."""
