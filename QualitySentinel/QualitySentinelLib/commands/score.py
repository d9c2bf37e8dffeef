"""Score one case.

Predict the Dice coefficient of every slice of every segment, and write tables, an HTML report and a segmentation
colored by quality.

    quality-sentinel score --ct ct.nii.gz --seg segmentation.nii.gz --out results
    quality-sentinel score --ct dicom/ --seg masks/ --segments liver,spleen --slices 10 --out quick_look
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from dataclasses import fields
from pathlib import Path

from ..errors import CancelledError, UsageError, one_line
from ..files import check_writable
from ..options import DEFAULT_THRESHOLD, ScoringOptions
from ..scores.aggregation import AGGREGATIONS, DEFAULT_AGGREGATION


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_case_arguments(parser)
    parser.add_argument("--out", required=True, type=Path, help="folder for the results (made when missing)")
    add_scoring_arguments(parser)
    add_single_case_arguments(parser)
    parser.add_argument(
        "--error-maps", action="store_true",
        help="also write errors.seg.nrrd: what to remove from each mask, and what to add to it (docs/ERROR_MAPS.md)",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary; warnings stay")


def input_files(options: argparse.Namespace) -> dict[str, Path]:
    """The files of a case by their role: ``ct``, ``seg``, ``seg_2`` and so on."""
    segs = enumerate(options.seg, start=1)
    return {"ct": options.ct, **{f"seg_{n}" if n > 1 else "seg": path for n, path in segs}}


def add_case_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """The options of every command that reads one case."""
    parser.add_argument("--ct", required=required, type=Path, help="NIfTI, MGZ, NRRD or MHA file, or a DICOM folder")
    parser.add_argument("--series", help="of several DICOM series: the UID, number or description of the one to read")
    parser.add_argument(
        "--seg", required=required, type=Path, nargs="+", metavar="SEG",
        help="label map, .seg.nrrd, DICOM SEG or RTSTRUCT, or a folder of one binary mask per structure; or several",
    )  # fmt: skip
    parser.add_argument(
        "--names",
        help="JSON file that maps label values or file stems to structure names, or the name of a known label set "
        "(totalsegmentator, totalsegmentator_v1, btcv, amos, openkbp, dap)",
    )


def add_scoring_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of every command that scores."""
    parser.add_argument("--model", default="bundled", help="'bundled', or a .safetensors or published .pth file")
    parser.add_argument("--embeddings", help="label_embedding.pkl, for a published .pth file")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    parser.add_argument("--slices", default="all", help="all (default), a number per segment, or 'published'")
    parser.add_argument(
        "--threshold", type=float, default=DEFAULT_THRESHOLD, help="flag slices predicted below it (%(default)s)"
    )
    own = "flag structures below thresholds of their own, where the model has them"
    parser.add_argument("--own-thresholds", action="store_true", help=own)
    parser.add_argument(
        "--segments", type=_words,
        help="score only these: comma-separated segment names, ids or structures; quote a name that holds a comma",
    )  # fmt: skip


def scoring_options(options: argparse.Namespace) -> ScoringOptions:
    """How to score, from a command's options.

    Raises:
        UsageError: a value is not sensible.
    """
    given = {f.name: getattr(options, f.name) for f in fields(ScoringOptions) if hasattr(options, f.name)}
    return ScoringOptions(**given)


def add_single_case_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of every command that scores one case. (An audit computes alike on every machine, in float32.)"""
    parser.add_argument(
        "--backend", choices=("auto", "torch", "openvino"), default="auto",
        help="what runs the network on a CPU: OpenVINO where it is installed (auto, default), or PyTorch",
    )  # fmt: skip
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16"), default="float32",
        help="of the arithmetic (default float32); bfloat16 is faster where the processor has it, and changes single "
        "scores by up to 0.04",
    )  # fmt: skip
    parser.add_argument(
        "--aggregation", choices=tuple(AGGREGATIONS), default=DEFAULT_AGGREGATION,
        help="from the slices' scores to a segment's (default %(default)s, the only one with ranges)",
    )  # fmt: skip


def _words(text: str) -> list[str]:
    return [word.strip() for word in next(csv.reader([text], skipinitialspace=True), []) if word.strip()]


def run(options: argparse.Namespace) -> int:
    """Score the case and write every file of the contract into ``--out``, all or none."""
    started = time.perf_counter()
    how = scoring_options(options)
    check_output(options)
    from ..checkpoint import load_model  # torch takes seconds to import: not before --help could answer
    from ..reading import read_ct, read_segmentation
    from ..report import write_results
    from ..scorer import Scorer
    from ..suggestions import Drawings

    ct = read_ct(options.ct, options.series)
    segmentation = read_segmentation(options.seg, ct, names=options.names)
    scorer = Scorer(load_model(how.model, how.embeddings), how)
    if options.error_maps and not scorer.model.draws:
        raise UsageError(f"--error-maps: model {scorer.model.name} draws no reference; choose another --model")
    drawings = Drawings() if scorer.model.draws else None
    case = _score_with_progress(scorer, ct, segmentation, drawings, options.quiet)
    write_results(
        options.out, case, ct, segmentation, inputs=input_files(options), options=recorded(options, how),
        total_seconds=time.perf_counter() - started, drawings=drawings, error_maps=options.error_maps,
    )  # fmt: skip
    _warn(case)
    if not options.quiet:
        _summarize(case, options.out)
    return 0


def check_output(options: argparse.Namespace) -> None:
    """Refuse, before the work, an output folder that cannot be written or that would overwrite the input.

    Raises:
        UsageError: the results would land among the input files.
        InputError: the folder cannot be written.
    """
    out, inputs = options.out.resolve(), [path.resolve() for path in input_files(options).values()]
    if {out, out / "scored.seg.nrrd", out / "errors.seg.nrrd"} & set(inputs):
        raise UsageError(f"{options.out}: holds the input; choose another folder for the results")
    check_writable(options.out)


def _score_with_progress(scorer, ct, segmentation, drawings, quiet: bool):
    from tqdm import tqdm

    names = {segment.id: segment.name for segment in segmentation}
    with tqdm(total=0, unit="slice", disable=quiet, file=sys.stderr, dynamic_ncols=True) as bar:
        for progress in scorer.run(ct, segmentation, drawings=drawings):
            bar.total = progress.total
            bar.set_description(one_line(names.get(progress.segment_id, "scoring"), 28), refresh=False)
            bar.update(progress.done - bar.n)
    if progress.cancelled:
        raise CancelledError("canceled; nothing was written")
    return progress.score


def recorded(options: argparse.Namespace, how: ScoringOptions) -> dict:
    """The options that shaped the scores, for the report."""
    return {"series": options.series, "names": options.names, **how.recorded()}


def _summarize(case, out: Path, worst: int = 8) -> None:
    """Print the worst segments and where everything lies."""
    scored = [s for s in case.worst_first() if s.predicted_dsc is not None]
    looked_for_missed = any(s.empty_slices for s in scored)  # else a nought would say that nothing is missed
    print(f"{'segment':32}  predicted DSC  flagged slices{'  missed slices' * looked_for_missed}")
    for segment in scored[:worst]:
        name = one_line(segment.name, 32)
        missed = f"  {segment.n_missed:13d}" if segment.empty_slices else ""
        missed += f"  {segment.status}" * segment.is_unknown
        print(f"{name:32}  {segment.predicted_dsc:13.2f}  {segment.n_flagged:5d} of {segment.n_scored:<5d}{missed}")
    if len(scored) > worst:
        print(f"... and {len(scored) - worst} more")
    print(f"{len(scored)} of {len(case.segments)} segments scored in {case.seconds:.1f} s on {case.device}.")
    print(f"Open {out / 'report.html'}")


def _warn(case) -> None:
    """Print what a user must know to trust the scores."""
    scored = (s for s in case.worst_first() if s.predicted_dsc is not None)
    if unknown := [one_line(s.name) for s in scored if s.is_unknown]:
        print(
            f"warning: unknown structure: {', '.join(unknown)}: scored without knowing what it is, so trust the score "
            "less; --names can say what it is",
            file=sys.stderr,
        )
    for warning in case.warnings:
        print("warning:", warning, file=sys.stderr)
