"""Reading and scoring one case: the code that every engine runs, wherever it runs it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from QualitySentinelLib.errors import ModelError, QualitySentinelError, UsageError, reason_of
from QualitySentinelLib.scores.flags import DEFAULT_THRESHOLD
from QualitySentinelLib.volume import CtVolume, Segmentation
from QualitySentinelLib.volume.segmentation import is_called

from .cases import AuditCase, fingerprint, read_case
from .privacy import Scrubber
from .record import DONE, FAILED, CaseRecord, segment_records


@dataclass(frozen=True)
class ScoringSetup:
    """How the cases of an audit are scored. It can be sent to another process.

    Attributes:
        root: folder that the cases' paths are relative to.
        model, embeddings: as ``load_model`` takes them.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        slices, threshold: as the scorer takes them.
        segments: ids, names or structures to score; a case need not have all of them.
        names: what label values mean, instead of what the layout says.
        keep_identifiers: leave DICOM identifiers in the results.
    """

    root: Path
    model: str = "bundled"
    embeddings: str | None = None
    device: str = "auto"
    slices: int | str = "all"
    threshold: float = DEFAULT_THRESHOLD
    segments: tuple[str, ...] | None = None
    names: str | Mapping[str, str] | None = None
    keep_identifiers: bool = False


@dataclass
class ReadCase:
    """A case in memory, or why it is not.

    Attributes:
        ct, segmentation: what was read, when it could be.
        error: what went wrong.
        remarks: of the reading, beside those of CT and segmentation.
        fingerprint: of the files, taken before they were read.
        seconds: that reading took.
    """

    case: AuditCase
    fingerprint: str
    ct: CtVolume | None = None
    segmentation: Segmentation | None = None
    error: Exception | None = None
    remarks: tuple[str, ...] = ()
    seconds: float = 0.0


class CaseReader:
    """Reads cases. Needs no torch, and may be used by several threads."""

    def __init__(self, setup: ScoringSetup) -> None:
        self._setup = setup

    def read(self, case: AuditCase) -> ReadCase:
        """The case in memory; what is wrong with it is kept, not raised."""
        started = time.perf_counter()
        read = ReadCase(case, fingerprint(case, self._setup.root))
        try:
            if case.problem:
                raise UsageError(case.problem)
            read.ct, read.segmentation, read.remarks = self._read(case)
            for segment in read.segmentation:
                _ = segment.areas  # counts voxels here, while another case is scored
        except Exception as error:
            read.ct = read.segmentation = None
            read.error = error
        read.seconds = time.perf_counter() - started
        return read

    def _read(self, case: AuditCase) -> tuple[CtVolume, Segmentation, tuple[str, ...]]:
        setup = self._setup
        wanted = None if setup.segments is None else list(setup.segments)
        try:
            return *read_case(case, setup.root, setup.names, wanted), ()
        except UsageError:
            if wanted is None:
                raise
        ct, segmentation = read_case(case, setup.root, setup.names)  # it lacks some of those that are wanted
        kept = [s for s in segmentation if any(is_called(w, s.id, s.name, s.structure) for w in wanted)]
        lacking = [w for w in wanted if not any(is_called(w, s.id, s.name, s.structure) for s in kept)]
        segmentation.segments = kept
        return ct, segmentation, tuple(f"has no segment '{word}'" for word in lacking)


class CaseScorer:
    """Scores cases that were read, with one model on one device.

    Args:
        setup: how.
        threads: of torch on a CPU: one, because results depend on their number, and workers are many.

    Raises:
        ModelError, UsageError: as ``load_model`` and ``Scorer`` do.
    """

    def __init__(self, setup: ScoringSetup, threads: int = 1) -> None:
        import torch

        from QualitySentinelLib.checkpoint import load_model
        from QualitySentinelLib.scorer import Scorer

        self._setup = setup
        self._scorer = Scorer(load_model(setup.model, setup.embeddings), setup.device, threshold=setup.threshold)
        if self._scorer.device.type == "cpu":
            torch.set_num_threads(threads)

    @property
    def model_sha256(self) -> str:
        """Fingerprint of the model."""
        return self._scorer.model.sha256

    def score(self, read: ReadCase) -> CaseRecord:
        """The record of a case: its scores, or why there are none.

        Raises:
            ModelError: the model is at fault, so no case can be scored.
        """
        started = time.perf_counter()
        score, error = None, read.error
        if error is None:
            try:
                score = self._scorer.score(read.ct, read.segmentation, self._setup.slices)
            except ModelError:
                raise
            except Exception as problem:
                error = problem
        scrub = Scrubber(read.case, self._setup.root, self._setup.keep_identifiers)
        warnings = [*read.remarks, *(score.warnings if score else ())]
        record = case_record(
            read.case, scrub, FAILED if error else DONE, fingerprint=read.fingerprint, reason=_reason(error, scrub),
            warnings=[scrub(line) for line in warnings], device=score.device.partition(":")[0] if score else "",
            model_sha256=self.model_sha256, segments=segment_records(score, read.segmentation, scrub) if score else (),
        )  # fmt: skip
        record.head["seconds"] = {"read": read.seconds, "score": time.perf_counter() - started}
        return record


def case_record(
    case: AuditCase, scrub: Scrubber, status: str, *, fingerprint: str, reason: str = "", warnings: Iterable[str] = (),
    device: str = "", model_sha256: str = "", segments: Iterable[dict] = (),
) -> CaseRecord:  # fmt: skip
    """A record from its parts."""
    head = {
        "case": case.name, "status": status, "reason": reason, "fingerprint": fingerprint, "ct": scrub.path(case.ct),
        "seg": scrub.path(case.seg), "metadata": dict(case.metadata), "warnings": list(warnings), "device": device,
        "model_sha256": model_sha256, "seconds": {},
    }  # fmt: skip
    return CaseRecord(head, list(segments))


def _reason(error: Exception | None, scrub: Scrubber) -> str:
    if error is None:
        return ""
    if isinstance(error, QualitySentinelError):
        return scrub(str(error))
    if isinstance(error, MemoryError):
        return "not enough memory to read or score it"
    return scrub(f"unexpected {type(error).__name__}: {reason_of(error)}")
