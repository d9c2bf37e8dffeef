"""Train a network on references and on trusted pseudo labels.

Train one segmentation network on the references of --data, on the masks of POOL that are listed in trusted.csv (from
select) by case, structure or slice, and on those that were done in a review (--done). What is not listed is left out
of the loss. With --weighted, a label counts in proportion to one minus its score. The same command resumes.

    quality-sentinel train-pseudo --data ANNOTATED --pool POOL --trusted next/trusted.csv --out network
    quality-sentinel train-pseudo --data ANNOTATED --pool POOL --trusted next/trusted.csv --done next/done.csv --out net
    quality-sentinel train-pseudo --data ANNOTATED --pool POOL --trusted trusted.csv --weighted --out network
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from QualitySentinelLib.errors import command_text
from QualitySentinelLib.files import check_outside

from ..option_files import add_options, given_options
from ..segmentation.options import SegmentationOptions
from .data_options import add_data_options, subjects_of

_SHAPING = [option.name for option in fields(SegmentationOptions) if option.name != "folds"]
_EPOCHS = (10,)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data_options(parser)
    parser.add_argument("--pool", type=Path, required=True, help="the pool that select ranked")
    parser.add_argument("--predictions", type=Path, metavar="DIR", help="its masks, if they are not in the pool")
    parser.add_argument("--trusted", type=Path, required=True, metavar="FILE", help="trusted.csv")
    parser.add_argument("--done", type=Path, metavar="FILE", help="done.csv of a review: its masks are trusted fully")
    parser.add_argument("--weighted", action="store_true", help="trust a label by one minus its score")
    parser.add_argument("--out", type=Path, required=True, help="folder for the networks")
    add_options(parser, SegmentationOptions, *_SHAPING, epochs=_EPOCHS)
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")


def run(options: argparse.Namespace) -> int:
    from QualitySentinelLib.datasets.pool import corrected_file, find_pool, with_corrections

    from ..selection.pool import PoolItem, items_of, units_in
    from ..selection.pseudo import pseudo_sources, train_pseudo

    check_outside(options.out, options.pool)
    if options.predictions:
        check_outside(options.out, options.predictions, "the folder of the predictions")
    predictions = [options.predictions] if options.predictions else []
    data, rows, corrected = find_pool(options.pool, names=options.names), units_in(options.trusted), []
    if options.done:
        done = units_in(options.done)
        rows += [(*unit[:3], 0.0) for unit in done]  # trusted fully
        those = {name for name, *_ in done if corrected_file(options.done, name).is_file()}
        corrected = [with_corrections(case, options.done) for case in data.cases if case.name in those]
        data.cases = [case for case in data.cases if case.name not in those]
    items = [*items_of(data, predictions)[0], *(PoolItem(case.name, case) for case in corrected)]
    settings = SegmentationOptions(**{"epochs": _EPOCHS} | given_options(options, SegmentationOptions, *_SHAPING))
    labeled = subjects_of(options, options.data)
    pseudo = pseudo_sources(items, rows, options.weighted)
    network = train_pseudo(labeled, pseudo, options.out, settings, options.device)
    print(f"Trained on {len(labeled)} references and pseudo labels of {len(pseudo)} cases: {options.out}")
    last = sorted(options.out.glob("epoch_*.safetensors"))[-1]
    print(f"It knows {', '.join(network.classes[1:])}")
    print(f"Next round: quality-sentinel select POOL --network {command_text(last)}")
    return 0
