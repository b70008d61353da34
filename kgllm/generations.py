"""What is on disk is a generation: a folder written once, hashed in its manifest, and read-only from then on.

    folder/.lock                   held by the one writer
    folder/CURRENT                 one line: the generation's name and the SHA-256 of its manifest
    folder/gen-00000042-1a2b3c4d/  its files; MANIFEST.json names each with its bytes and SHA-256, and
                                   MANIFEST.sha256 repeats the manifest's own

A writer changes CURRENT last, by one atomic rename, when all that it names is on the disk: whoever is killed, whenever,
leaves the old generation or the new one, whole. The previous generation is kept, to fall back on and for its readers.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from kgllm.errors import BackendError, DamagedIndexError, IndexMismatchError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Generation", "Generations", "save_array"]

_FORMAT = 1
_ALWAYS_HASHED = 16 << 20  # bytes: a file below is hashed on every opening, one above costs over 30 ms
_MANIFEST, _SEAL, _POINTER, _LOCK = "MANIFEST.json", "MANIFEST.sha256", "CURRENT", ".lock"
_NAME = re.compile(r"gen-(\d{8,})-[0-9a-f]{8}")
_NEW_POINTER = re.compile(r"\.CURRENT-[0-9a-f]{8}")
_REBUILD = "build the index anew: kgllm index --rebuild"
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}


@dataclass(frozen=True, slots=True)
class Generation:
    """A whole generation. ``fallback`` is true if it is the previous one, because the current one is damaged."""

    folder: Path
    manifest: Mapping[str, Any]
    fallback: bool = False


class Generations:
    """The generations in a folder, which need not exist yet. Any number of readers and writers, in any processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, fill: Callable[[Path], Mapping[str, Any]]) -> Generation:
        """Make a generation of what ``fill`` writes into the empty folder it is given, and make it the current one.

        The fields that ``fill`` returns go into the manifest. A second writer waits for the first. Raises
        ``BackendError`` when the disk is full and ``InputError`` where nothing may be written; whatever is raised, the
        current generation stays as it was.
        """
        with self._writing():
            previous = self._named()
            numbers = [int(match[1]) for match in map(_NAME.fullmatch, os.listdir(self.folder)) if match]
            number = max(numbers, default=0) + 1
            folder = self.folder / f"gen-{number:08d}-{secrets.token_hex(4)}"
            try:
                folder.mkdir(mode=0o700)
                fields = fill(folder)
                manifest = {**fields, "format": _FORMAT, "generation": number, "files": _sealed(folder)}
                text = json.dumps(manifest, ensure_ascii=False, indent=1).encode()
                seal = hashlib.sha256(text).hexdigest()
                _write_synced(folder / _MANIFEST, text)
                _write_synced(folder / _SEAL, f"{seal}\n".encode())
                _sync_folder(folder)
                _sync_folder(self.folder)
                self._point_to(folder.name, seal)
            except BaseException:
                if self._named() != folder.name:  # else the fault came after the switch
                    shutil.rmtree(folder, ignore_errors=True)
                raise
            self._sweep(keep={folder.name, previous or folder.name})
        return Generation(folder, manifest)

    def current(self, *, verify: Literal["sizes", "hashes"] = "sizes") -> Generation | None:
        """The current generation, or the previous one if that is damaged; ``None`` if none was ever finished.

        Sizes are checked always, and the SHA-256 of the manifest and of files below 16 MiB; of all files with
        ``"hashes"``. Raises ``DamagedIndexError`` naming the file when no generation is whole, and
        ``IndexMismatchError`` for one that another version of kgllm wrote.
        """
        while True:
            name = None
            try:
                pointed = self._pointed()
                if pointed is None:
                    return None
                name, seal = pointed
                return _whole(self.folder / name, seal=seal, verify=verify)
            except DamagedIndexError as damage:
                if self._named() != name:
                    continue  # a writer moved on and swept it away
                previous = self._spare(verify=verify)
                if previous is None:
                    raise damage from None
                return previous

    def _spare(self, *, verify: Literal["sizes", "hashes"]) -> Generation | None:
        """The newest generation that is whole by its own seal."""
        for name in sorted(filter(_NAME.fullmatch, os.listdir(self.folder)), reverse=True):
            with suppress(DamagedIndexError, OSError):
                seal = (self.folder / name / _SEAL).read_text(encoding="ascii", errors="replace").strip()
                whole = _whole(self.folder / name, seal=seal, verify=verify)
                return Generation(whole.folder, whole.manifest, fallback=True)
        return None

    def _pointed(self) -> tuple[str, str] | None:
        """The name and the seal that CURRENT holds; ``None`` without one."""
        try:
            line = (self.folder / _POINTER).read_text(encoding="ascii", errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return None
        match = re.fullmatch(rf"({_NAME.pattern}) ([0-9a-f]{{64}})\n", line)
        if match is None:
            raise _damaged(self.folder, _POINTER, "it is not the name of a generation and a SHA-256")
        return match[1], match[3]

    def _named(self) -> str | None:
        """The name that CURRENT holds, if it holds one."""
        with suppress(DamagedIndexError):
            if pointed := self._pointed():
                return pointed[0]
        return None

    def _point_to(self, name: str, seal: str) -> None:
        new = self.folder / f".CURRENT-{secrets.token_hex(4)}"
        try:
            _write_synced(new, f"{name} {seal}\n".encode())
            os.replace(new, self.folder / _POINTER)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        _sync_folder(self.folder)

    def _sweep(self, *, keep: set[str]) -> None:
        """Remove all generations but those, and what killed writers left."""
        for name in os.listdir(self.folder):
            if _NAME.fullmatch(name) and name not in keep:
                shutil.rmtree(self.folder / name, ignore_errors=True)
            elif _NEW_POINTER.fullmatch(name):
                (self.folder / name).unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the lock, which ends with this process however that ends; name the faults of the disk."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(self.folder / _LOCK, "ab", opener=_private) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                try:
                    yield
                finally:
                    fcntl.flock(lock, fcntl.LOCK_UN)  # a forked child may hold the file open for longer
        except OSError as error:
            if error.errno in _NO_SPACE:
                raise BackendError(
                    f"the disk is full: the index in {self.folder} could not be written",
                    why=f"{error.strerror}; what was there before is unchanged",
                    try_next="free some space, or choose another folder with --index",
                ) from error
            if error.errno in _NO_ACCESS and self._concerns(Path(str(error.filename))):
                raise InputError(
                    f"the index folder {self.folder} cannot be written",
                    why=str(error.strerror),
                    try_next="choose another folder with --index",
                ) from error
            raise

    def _concerns(self, path: Path) -> bool:
        return path.is_relative_to(self.folder) or self.folder.is_relative_to(path)


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array as ``.npy`` so that a full disk raises ``OSError``: ``numpy.save`` may lose the end silently."""
    from numpy.lib import format as npy

    with path.open("xb") as file:
        npy.write_array(_Stream(file), array, allow_pickle=False)


class _Stream:
    """A file that numpy does not take for one, lest it writes past Python's error checks."""

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write


def _whole(folder: Path, *, seal: str, verify: Literal["sizes", "hashes"]) -> Generation:
    """The generation in a folder. Raises ``DamagedIndexError`` naming the first file that is not the manifest's."""
    try:
        text = (folder / _MANIFEST).read_bytes()
    except OSError as error:
        raise _damaged(folder, _MANIFEST, str(error.strerror)) from error
    if hashlib.sha256(text).hexdigest() != seal:
        raise _damaged(folder, _MANIFEST, "its SHA-256 is not the one noted when it was written")
    manifest = json.loads(text)
    if manifest["format"] != _FORMAT:
        raise IndexMismatchError(
            f"the index in {folder.parent} has format {manifest['format']}, this kgllm reads {_FORMAT}",
            why="another version of kgllm wrote it",
            try_next=_REBUILD,
        )
    for name, (size, sha256) in manifest["files"].items():
        try:
            found = (folder / name).stat().st_size
            if found != size:
                raise _damaged(folder, name, f"it has {found} bytes, its manifest says {size}")
            if (verify == "hashes" or size < _ALWAYS_HASHED) and _sha256(folder / name) != sha256:
                raise _damaged(folder, name, "its SHA-256 is not the one in its manifest")
        except OSError as error:
            raise _damaged(folder, name, str(error.strerror)) from error
    return Generation(folder, manifest)


def _sealed(folder: Path) -> dict[str, tuple[int, str]]:
    """Bytes and SHA-256 of every file below the folder, all of them now private and on the disk."""
    files: dict[str, tuple[int, str]] = {}
    for place, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(place, name)
            path.chmod(0o600)
            with path.open("rb") as file:
                os.fsync(file.fileno())
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                files[path.relative_to(folder).as_posix()] = (os.fstat(file.fileno()).st_size, sha256)
        Path(place).chmod(0o700)
        _sync_folder(Path(place))
    return files


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_synced(path: Path, content: bytes) -> None:
    with open(path, "xb", opener=_private) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _damaged(folder: Path, name: str, why: str) -> DamagedIndexError:
    return DamagedIndexError(f"{name} is damaged, in {folder}", why=why, try_next=_REBUILD)
