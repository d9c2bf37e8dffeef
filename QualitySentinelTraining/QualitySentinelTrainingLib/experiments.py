"""``make experiments``: the comparisons behind what docs and model card say, each a command anyone can run again.

``compact-against-resnet50`` trains both networks alike, on the same pairs, for the same number of them, with the same
loss and schedule, and measures both on the same unseen subjects.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from QualitySentinelLib.files import write_whole

from .commands.evaluate import evaluate_groups, print_figures
from .commands.train import ARCHITECTURES, training_pairs
from .recipe import new_model
from .training import TrainingOptions, fit


def compact_against_resnet50(data: Path, out: Path, most_pairs: int, masks: int) -> dict:
    """Figures of each architecture after training on the same random ``most_pairs`` pairs, once each."""
    pairs = training_pairs(data, out / "pairs")
    pairs = pairs.take(np.random.default_rng(0).permutation(len(pairs))[:most_pairs])
    result = {"pairs": len(pairs)}
    for architecture in ARCHITECTURES:
        model = new_model(architecture)
        started = time.perf_counter()
        fit(model, pairs.for_preset(model.preset), TrainingOptions(epochs=1), out / architecture)
        seconds = time.perf_counter() - started
        figures = evaluate_groups(model, data, masks, seed=2)
        print(f"\n{architecture}: {len(pairs)} pairs in {seconds:.0f} s")
        print_figures(figures)
        result[architecture] = {"training_seconds": seconds, "figures": figures}
    return result


def main() -> int:
    """Run the experiment and write its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds openkbp/ and totalsegmentator/")
    parser.add_argument("--out", type=Path, default=Path("out/experiments"), help="pairs already there are used again")
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--masks", type=int, default=1, help="simulated masks per structure of a test subject")
    options = parser.parse_args()
    result = compact_against_resnet50(options.data, options.out, options.pairs, options.masks)
    write_whole(options.out / "compact_against_resnet50.json", json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
