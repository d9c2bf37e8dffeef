"""Files are written whole or not at all."""

import os
import sys
from contextlib import ExitStack
from threading import Thread

import pytest

from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelLib.files import atomic_folder, atomic_write, locked_folder, sha256_of


def full_disk(path):
    path.write_text("half of it")
    raise OSError(28, "No space left on device")


def test_a_file_is_written_under_its_name_and_readable_by_colleagues(tmp_path):
    path = atomic_write(tmp_path / "new" / "a.seg.nrrd", "content")
    assert path.read_text() == "content"
    assert os.listdir(path.parent) == ["a.seg.nrrd"]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("no")])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = atomic_write(tmp_path / "table.csv", "old")

    def half(temporary):
        temporary.write_text("half of it")
        raise error

    with pytest.raises(InputError if isinstance(error, OSError) else type(error)):
        atomic_write(path, half)
    assert os.listdir(tmp_path) == ["table.csv"]
    assert path.read_text() == "old"


def test_a_folder_changes_only_when_all_its_files_are_written(tmp_path):
    atomic_write(tmp_path / "a", "old a")

    def write(b):
        with atomic_folder(tmp_path) as new:
            atomic_write(new / "a", "new a")
            atomic_write(new / "b", b)

    with pytest.raises(InputError) as caught:
        write(full_disk)
    assert str(caught.value).startswith(f"{tmp_path}: cannot be written (No space left on device)")
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old a"
    write("new b")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    assert (tmp_path / "a").read_text() == "new a"


def test_the_fingerprint_of_a_folder_knows_names_and_contents(tmp_path):
    atomic_write(tmp_path / "a", "1")
    before = sha256_of(tmp_path)
    atomic_write(tmp_path / "b", "")
    with_b = sha256_of(tmp_path)
    (tmp_path / "b").rename(tmp_path / "c")
    assert len({before, with_b, sha256_of(tmp_path)}) == 3


@pytest.mark.parametrize("without", ["", "fcntl"])
def test_a_folder_is_lent_to_one_at_a_time(tmp_path, monkeypatch, without):
    """Also without ``fcntl``, as on Windows."""
    import filelock  # noqa: F401 - before it is without fcntl, too

    monkeypatch.setitem(sys.modules, without, None)
    folder = tmp_path / "new" / "out"
    with locked_folder(folder, "somebody has it"):
        with pytest.raises(UsageError, match="out: somebody has it"), locked_folder(folder, "somebody has it"):
            pass
        assert folder.is_dir()
    assert not folder.exists() or list(folder.iterdir()) == [folder / ".lock"], "nothing was put into it"
    with locked_folder(folder, "somebody has it"):
        atomic_write(folder / "a", "kept")
    with ExitStack() as stack:
        stack.enter_context(locked_folder(folder, "somebody has it"))
        thread = Thread(target=stack.pop_all().close)  # a page may be closed by another thread
        thread.start()
        thread.join()
    with locked_folder(folder, "somebody has it"):
        pass
    assert (folder / "a").read_text() == "kept"
