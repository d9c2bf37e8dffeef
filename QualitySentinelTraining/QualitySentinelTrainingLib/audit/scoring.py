"""Reading and scoring one case: the code that every engine runs, wherever it runs it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from QualitySentinelLib.datasets import Case, fingerprint, read_case
from QualitySentinelLib.errors import InputError, MismatchError, UsageError
from QualitySentinelLib.files import sha256_of
from QualitySentinelLib.options import ScoringOptions
from QualitySentinelLib.scores import CaseScore, flag, read_report_json
from QualitySentinelLib.volume import CtVolume, Segmentation
from QualitySentinelLib.volume.segmentation import chosen_segments

from ..runs import Result, Work
from .privacy import Deidentifier
from .store import segment_records

if TYPE_CHECKING:
    from QualitySentinelLib.scorer import Scorer


@dataclass(frozen=True)
class ScoringSetup:
    """How the cases of an audit are scored. It can be sent to another process."""

    root: Path  # folder that the cases' paths are relative to
    # how each case is scored; a case need not have all of ``options.segments``
    options: ScoringOptions = field(default_factory=ScoringOptions)
    names: str | Mapping[str, str] | None = None  # what label values mean, instead of what the layout says
    keep_identifiers: bool = False  # leave DICOM identifiers in the results
    # folder of scores that are there, ``CASE.json`` in the form of ``report.json``, instead of a model's
    scores: Path | None = None

    def scores_of(self, case: Case) -> Path:
        return (self.scores or Path()) / f"{case.name.rpartition('/')[2]}.json"


class CaseWork(Work):
    """Reads and scores the cases of an audit."""

    def __init__(self, setup: ScoringSetup) -> None:
        self.setup, self.device = setup, setup.options.device
        self._scorer: Scorer | None = None

    def start(self, device: str) -> None:
        """Load the model; raises as ``load_model`` and ``Scorer`` do, or an ``InputError`` without the data set."""
        setup = self.setup
        if not setup.root.exists():
            raise InputError(f"{setup.root}: is not visible on node {platform.node()}; share the folder")
        if setup.scores is not None:
            return
        import torch

        from QualitySentinelLib.checkpoint import load_model
        from QualitySentinelLib.scorer import Scorer

        how = replace(setup.options, device=device, segments=None)  # only those that are wanted are read
        self._scorer = Scorer(load_model(how.model, how.embeddings), how)
        if self._scorer.device.type == "cpu":
            torch.set_num_threads(1)  # results depend on their number, and workers are many

    def fingerprint(self, case: Case) -> str:
        if self.setup.scores is None:
            return fingerprint(case)
        path = self.setup.scores_of(case)
        return fingerprint(case) + (sha256_of(path) if path.is_file() else "")

    def facts(self, case: Case) -> dict:
        scrub = self._scrub(case)
        return {
            "ct": scrub.path(case.ct), "seg": scrub.path(case.seg), "metadata": dict(case.metadata), "warnings": [],
            "device": "", "model_sha256": self._scorer.model.sha256 if self._scorer else "",
        }  # fmt: skip

    def reason(self, case: Case, text: str) -> str:
        return self._scrub(case)(text)

    def read(self, case: Case) -> tuple[CtVolume, Segmentation, tuple[str, ...]]:
        """CT, masks, and remarks beside theirs. Needs no torch."""
        if case.problem:
            raise UsageError(case.problem)
        ct, segmentation, remarks = self._read(case)
        for segment in segmentation:
            _ = segment.areas  # counts voxels here, while another case is scored
        return ct, segmentation, remarks

    def do(self, case: Case, data: tuple[CtVolume, Segmentation, tuple[str, ...]]) -> Result:
        ct, segmentation, remarks = data
        score = self._given(case, segmentation) if self._scorer is None else self._scorer.score(ct, segmentation)
        scrub = self._scrub(case)
        facts = {
            "warnings": [scrub(line) for line in (*remarks, *score.warnings)],
            "device": score.device.partition(":")[0],
        }
        return Result(facts, segment_records(score, segmentation, scrub))

    def _given(self, case: Case, segmentation: Segmentation) -> CaseScore:
        score = read_report_json(path := self.setup.scores_of(case))
        ids = {segment.id for segment in segmentation}
        if any(one.segment_id not in ids for one in score.segments):
            raise MismatchError(f"{path}: has scores of segments that the case does not have; score it again")
        score.own_thresholds = self.setup.options.own_thresholds
        flag(score, self.setup.options.threshold)
        return score

    def _scrub(self, case: Case) -> Deidentifier:
        return Deidentifier(case, self.setup.root, self.setup.keep_identifiers)

    def _read(self, case: Case) -> tuple[CtVolume, Segmentation, tuple[str, ...]]:
        setup = self.setup
        wanted, lacking = setup.options.segments, list[str]()
        try:
            return *read_case(case, setup.names, wanted), ()
        except UsageError:
            if wanted is None:
                raise
        ct, segmentation = read_case(case, setup.names)  # it lacks some of those that are wanted
        kept = chosen_segments(segmentation, wanted, lacking)
        segmentation.segments = [s for s in segmentation if s.id in kept]
        return ct, segmentation, tuple(f"has no segment '{word}'" for word in lacking)
