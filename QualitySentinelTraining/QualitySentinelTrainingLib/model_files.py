"""Model files as trainings write them: their name, and the stages of training behind them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from QualitySentinelLib.errors import UsageError

if TYPE_CHECKING:
    from QualitySentinelLib.checkpoint import QualityModel


PHANTOM = "phantom"
"""Source of generated torsos."""


def check_out(out: Path) -> Path:
    """The path of a model file to write. Raises ``UsageError``: its name does not end as model files' names do."""
    out = Path(out)
    if out.suffix != ".safetensors":
        raise UsageError(f"--out {out}: give a file name that ends in .safetensors")
    return out


def as_stage(model: QualityModel) -> dict:
    """What a model file says of its training, with its name and checksum: what a model that starts from it keeps."""
    return {"name": model.name, "sha256": model.sha256} | model.metadata.get("training", {})


def stages_of(training: Mapping) -> list[Mapping]:
    """The stages of a training, the first one first: ``training`` itself comes last, after all that it started from."""
    stages = [training]
    while isinstance(before := stages[0].get("started_from"), Mapping):
        stages.insert(0, before)
    return stages


def well_known(training: Mapping, patients: int) -> list[str]:
    """Structures that some stage of a training saw in so many patients; empty when no stage says."""
    counted = (count for stage in stages_of(training) for count in stage.get("patients", {}).items())
    return sorted({structure for structure, seen_in in counted if seen_in >= patients})


def seen_by(model: QualityModel) -> set[str]:
    """Everybody a model was trained on, by what its file says, those of the model it started from among them."""
    stages = stages_of(model.metadata.get("training", {}))
    sources = [source for stage in stages for source in stage.get("sources", {}).values()]
    return {patient for source in sources for patient in source.get("persons", ())}
