"""Writing files whole, and fingerprinting them. The only place in the project that opens a file for writing."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from .errors import InputError, UsageError

_READ_BLOCK = 1 << 20


def _cannot_be_written(path: Path, error: OSError) -> InputError:
    reason = error.strerror or str(error)
    return InputError(f"{path}: cannot be written ({reason}); choose another output folder or free some space")


@contextmanager
def atomic_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block ends well, else remove it.

    The temporary name keeps every suffix of ``path`` (``.seg.nrrd``, ``.nii.gz``), because writers choose the
    format by it. A reader therefore sees the old file or the new one, never half a file.

    Raises:
        InputError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".writing-", suffix="-" + path.name, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        _flush(temporary)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes private files; results are for colleagues too
        os.replace(temporary, path)
    except OSError as error:
        raise _cannot_be_written(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary folder inside ``path``; move its files into ``path`` when the block ends well, else drop it.

    For results that belong together: a failure while they are written leaves ``path`` as it was.

    Raises:
        InputError: the folder cannot be written or the disk is full.
    """
    path = Path(path)
    name = ""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=path) as name:
            yield Path(name)
            files = sorted(Path(name).iterdir())
            for file in files:
                _flush(file)
            for file in files:
                os.replace(file, path / file.name)
    except OSError as error:
        raise _cannot_be_written(path, error) from error
    except InputError as error:
        if isinstance(error.__cause__, OSError) and name in str(error):  # the user knows nothing of the temporary name
            raise _cannot_be_written(path, error.__cause__) from error
        raise


def _flush(path: Path) -> None:
    """Have the file's content on the disk before its name: after a power cut a renamed file must not be empty."""
    with open(path, "rb+") as written:  # Windows flushes only what is open for writing
        os.fsync(written.fileno())


def check_writable(folder: str | os.PathLike) -> None:
    """Make sure, before long work, that a folder can be written or made, or raise ``InputError``; nothing is left."""
    existing = Path(folder)
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise _cannot_be_written(Path(folder), error) from error


def check_outside(out: str | os.PathLike, dataset: str | os.PathLike, called: str = "the data set") -> None:
    """Make sure, before any work, that results do not get among the files of a data set, or of what else is read.

    Raises:
        UsageError: ``out`` is the data set, or lies in its folder; links are followed.
    """
    place, data = Path(out).resolve(), Path(dataset).resolve()
    if place == data or data in place.parents:
        lies = "is" if place == data else "lies in"
        raise UsageError(f"{out}: {lies} {called}; choose another folder for the results")


@contextmanager
def locked_folder(folder: str | os.PathLike, taken: str) -> Iterator[None]:
    """Keep other processes out of a folder until the block, or the process, ends.

    The folder is made when there is none, and dropped again when nothing was put into it. Nothing is locked where the
    system cannot, as on some network disks. ``taken``: what to say, and to do, when another has it.

    Raises:
        InputError: the folder cannot be made.
        UsageError: another process has it.
    """
    folder = Path(folder)
    new, unlock = not folder.exists(), None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_be_written(folder, error) from error
    try:
        unlock = _lock(folder)
    except BlockingIOError as error:
        raise UsageError(f"{folder}: {taken}") from error
    except (ImportError, OSError):
        pass
    try:
        yield
    finally:
        if unlock is not None:
            unlock()
        if new:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


def _lock(folder: Path) -> Callable[[], object]:
    """Lock a folder; what unlocks it. Raises ``BlockingIOError``: another process has it."""
    try:
        import fcntl
    except ImportError:  # Windows locks no folders, but a file in it
        from filelock import FileLock, Timeout  # PyTorch brings it along

        lock = FileLock(folder / ".lock", timeout=0, thread_local=False)  # another thread may unlock it
        try:
            lock.acquire()
        except Timeout as error:
            raise BlockingIOError from error
        return lock.release
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return partial(os.close, descriptor)


def atomic_write(path: str | os.PathLike, content: str | bytes | Callable[[Path], object]) -> Path:
    """Write ``content`` (text as UTF-8, bytes, or a function that writes to the path it is given) whole."""
    path = Path(path)
    with atomic_file(path) as temporary:
        if callable(content):
            content(temporary)
        else:
            temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return path


def sha256_of(path: str | os.PathLike) -> str:
    """SHA-256 of a file, or of a folder (names and contents of all files below it, sorted), as hex digits."""
    path = Path(path)
    digest = hashlib.sha256()
    folder = path.is_dir()
    for file in sorted(p for p in path.rglob("*") if p.is_file()) if folder else [path]:
        if folder:
            digest.update(os.fsencode(file.relative_to(path).as_posix()) + b"\0")
        with open(file, "rb") as stream:
            while block := stream.read(_READ_BLOCK):
                digest.update(block)
    return digest.hexdigest()
