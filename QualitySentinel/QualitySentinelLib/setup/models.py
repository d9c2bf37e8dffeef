"""The models a user can choose: the bundled one, and those imported into a folder of the user's own.

The folder lies beside Slicer's settings, so that it outlives an update of the extension. ``imported.json`` in it lists
what was put there by :func:`import_model`; only that is ever removed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from ..bundled import BUNDLED, CHECKPOINT_SUFFIXES, EMBEDDINGS_NAME
from ..errors import InputError, ModelError
from ..files import atomic_file, atomic_write, sha256_of

_SUFFIX = ".safetensors"
_LIST = "imported.json"


@dataclass(frozen=True)
class ModelChoice:
    """A model to choose."""

    name: str  # for people, unique among the choices
    source: str  # what ``load_model`` and the command line's ``--model`` take: ``"bundled"`` or a path
    origin: str = ""  # where it came from, one line


def model_folder() -> Path:
    """Folder of imported models; it need not exist.

    Inside Slicer beside the file of the user's settings, elsewhere where the platform keeps programs' data.
    """
    settings = getattr(getattr(sys.modules.get("slicer"), "app", None), "slicerUserSettingsFilePath", None)
    if settings:
        return Path(settings).parent / "QualitySentinel" / "Models"
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "QualitySentinel" / "Models"


def model_choices() -> list[ModelChoice]:
    """The bundled model, then the imported ones by name. Nothing is loaded."""
    choices = [ModelChoice(BUNDLED, BUNDLED, "comes with Quality Sentinel")]
    listed = _read_list()
    for path in sorted(model_folder().glob(f"*{_SUFFIX}"), key=lambda p: p.stem.casefold()):
        choices.append(ModelChoice(path.stem, str(path), listed.get(path.name, {}).get("origin", "")))
    return choices


def import_model(path: str | os.PathLike, embeddings: str | os.PathLike | None = None) -> ModelChoice:
    """Check a model and keep it in :func:`model_folder`, from where it can be chosen from then on.

    A ``.safetensors`` file of ours is copied as it is. A published checkpoint is read without running code from it, and
    kept with its embeddings (by default the ``label_embedding.pkl`` beside it) as one ``.safetensors`` file whose
    metadata name both files and their fingerprints. The files given are not changed and no longer needed. A model that
    is there already is not kept twice.

    Raises:
        ModelError: it is neither, damaged or hostile; one line that names the file.
        InputError: the folder cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind == ".pkl":
        raise ModelError(
            f"{path}: contains embeddings, not a network; select the .pth file that belongs to it, in the same folder"
        )
    if kind not in (_SUFFIX, *CHECKPOINT_SUFFIXES):
        raise ModelError(
            f"{path}: is not a model; select a {_SUFFIX} file of Quality Sentinel, or the published .pth file with "
            f"{EMBEDDINGS_NAME} in the same folder"
        )
    if not path.is_file():
        raise ModelError(f"{path}: no such file; check the path")
    try:
        return _imported(path, embeddings)
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{path}: cannot be checked without {error.name}, which is not installed; install the packages first"
        ) from error


def remove_downloads() -> int:
    """Remove the imported models, and the folder when nothing else is in it; the number of bytes that became free.

    Files that :func:`import_model` did not put there stay, and so does what was changed since. The bundled model and
    Python packages are not touched.

    Raises:
        InputError: a file cannot be removed, for instance because it is in use.
    """
    folder, freed, left = model_folder(), 0, {}
    for name, entry in _read_list().items():
        path = folder / name
        if not path.is_file():
            continue
        if sha256_of(path) != entry.get("sha256"):
            left[name] = entry
            continue
        freed += _remove(path)
    if left:
        _write_list(left)
    elif (folder / _LIST).is_file():
        freed += _remove(folder / _LIST)
    for empty in (folder, folder.parent):
        if empty.is_dir() and not any(empty.iterdir()):
            empty.rmdir()
    return freed


def _imported(path: Path, embeddings: str | os.PathLike | None) -> ModelChoice:
    """Keep a model that loads: a file of ours as it is, a published checkpoint and its embeddings as one of ours."""
    is_ours = path.suffix.lower() == _SUFFIX
    embeddings = Path(path.parent / EMBEDDINGS_NAME if embeddings is None else embeddings)
    if not is_ours and not embeddings.is_file():
        raise ModelError(f"{path}: a published checkpoint needs its {EMBEDDINGS_NAME}, but {embeddings} does not exist")
    from ..checkpoint import load_model, save_model

    model = load_model(path) if is_ours else load_model(path, embeddings)
    if known := _kept(model.sha256):
        return known
    target = _free_name(path.stem)
    if is_ours:
        with atomic_file(target) as temporary:
            shutil.copyfile(path, temporary)
            if sha256_of(temporary) != model.sha256:
                raise ModelError(f"{path}: changed while it was being copied; try again")
        return _keep(target, model.sha256, f"copy of {path.name}")
    model.metadata["imported_from"] = {
        "checkpoint": path.name, "checkpoint_sha256": sha256_of(path),
        "embeddings": embeddings.name, "embeddings_sha256": sha256_of(embeddings),
    }  # fmt: skip
    save_model(model, target)
    return _keep(target, model.sha256, f"converted from {path.name} and {embeddings.name}")


def _kept(made_of: str) -> ModelChoice | None:
    """The listed model made of what has this fingerprint, if it is still there and unchanged."""
    for name, entry in _read_list().items():
        path = model_folder() / name
        if entry.get("made_of") == made_of and path.is_file() and sha256_of(path) == entry.get("sha256"):
            return ModelChoice(path.stem, str(path), entry.get("origin", ""))
    return None


def _keep(path: Path, made_of: str, origin: str) -> ModelChoice:
    """List a file that was just put into the folder."""
    _write_list(_read_list() | {path.name: {"sha256": sha256_of(path), "made_of": made_of, "origin": origin}})
    return ModelChoice(path.stem, str(path), origin)


def _free_name(stem: str) -> Path:
    """A file in the folder that is not there yet; ``bundled`` stays the bundled model's name."""
    folder = model_folder()
    taken = {BUNDLED} | {p.stem.lower() for p in folder.glob(f"*{_SUFFIX}")}
    name, number = stem, 2
    while name.lower() in taken:
        name, number = f"{stem} ({number})", number + 1
    return folder / f"{name}{_SUFFIX}"


def _read_list() -> dict[str, dict]:
    """What was imported, by file name; what cannot be read counts as nothing."""
    try:
        models = json.loads((model_folder() / _LIST).read_text(encoding="utf-8"))["models"]
        return {n: e for n, e in models.items() if isinstance(e, dict) and Path(n).name == n and n.endswith(_SUFFIX)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_list(models: dict[str, dict]) -> None:
    atomic_write(model_folder() / _LIST, json.dumps({"models": models}, indent=1, ensure_ascii=False, sort_keys=True))


def _remove(path: Path) -> int:
    """Remove a file; its size."""
    try:
        size = os.path.getsize(path)
        path.unlink()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be removed ({error.strerror or error}); choose another model, or restart Slicer, and try "
            "again"
        ) from error
    return size
