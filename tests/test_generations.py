"""A killed writer, a full disk or a damaged file never loses or mixes generations."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyoxigraph as ox
import pytest

from kgllm.errors import BackendError, DamagedIndexError, IndexMismatchError, InputError
from kgllm.generations import Generation, Generations, save_array

FILES = ("vectors.npy", "names.sqlite", "kg/000001.sst")


def filled(number: int) -> Callable[[Path], Mapping[str, Any]]:
    def fill(folder: Path) -> Mapping[str, Any]:
        (folder / "kg").mkdir()
        for name in FILES:
            (folder / name).write_text(f"{number} " * 100)
        return {"number": number}

    return fill


def number_of(generation: Generation | None) -> int:
    """The number that all its files hold, or a failure."""
    assert generation is not None
    numbers = {word for name in FILES for word in (generation.folder / name).read_text().split()}
    assert numbers == {str(generation.manifest["number"])}
    return int(generation.manifest["number"])


def generations_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("gen-*"))


@pytest.fixture
def two(tmp_path: Path) -> Generations:
    """Two generations, the first and the second."""
    generations = Generations(tmp_path / "index")
    generations.write(filled(1))
    generations.write(filled(2))
    return generations


def test_what_is_written_is_read(tmp_path: Path) -> None:
    generations = Generations(tmp_path / "a" / "b")
    written = generations.write(filled(7))
    read = generations.current(verify="hashes")
    assert read is not None
    assert (read.folder, read.fallback, number_of(read)) == (written.folder, False, 7)
    assert set(read.manifest["files"]) == set(FILES)


def test_nothing_was_ever_written(tmp_path: Path) -> None:
    assert Generations(tmp_path).current() is None
    assert Generations(tmp_path / "nowhere").current() is None
    assert not (tmp_path / "nowhere").exists()


def test_this_and_the_previous_are_kept(two: Generations) -> None:
    third = two.write(filled(3))
    assert len(generations_in(two.folder)) == 2
    assert generations_in(two.folder)[1] == third.folder.name
    assert number_of(two.current()) == 3


def test_only_the_owner_may_look(two: Generations) -> None:
    for path in [two.folder, *two.folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    if how != "deleted":
        path.write_bytes(content if how == "flipped" else content[:-1] if how == "cut" else b"")


@pytest.mark.parametrize("how", ["flipped", "cut", "emptied", "deleted"])
@pytest.mark.parametrize("name", [*FILES, "MANIFEST.json"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, name: str, how: str) -> None:
    generations = Generations(tmp_path)
    damage(generations.write(filled(1)).folder / name, how)
    with pytest.raises(DamagedIndexError, match=name) as refused:
        generations.current()
    assert "kgllm index --rebuild" in refused.value.try_next


@pytest.mark.parametrize("how", ["flipped", "cut", "emptied"])
def test_a_damaged_pointer_is_refused_by_name(tmp_path: Path, how: str) -> None:
    generations = Generations(tmp_path)
    shutil.rmtree(generations.write(filled(1)).folder)
    damage(tmp_path / "CURRENT", how)
    with pytest.raises(DamagedIndexError, match=r"CURRENT|MANIFEST"):
        generations.current()


@pytest.mark.parametrize("name", [*FILES, "MANIFEST.json"])
def test_the_previous_steps_in_and_says_so(two: Generations, name: str) -> None:
    current = two.current()
    assert current is not None
    damage(current.folder / name, "flipped")
    spare = two.current()
    assert number_of(spare) == 1
    assert spare is not None
    assert spare.fallback


def test_no_damaged_generation_is_served(two: Generations) -> None:
    for path in two.folder.glob("gen-*/vectors.npy"):
        damage(path, "flipped")
    with pytest.raises(DamagedIndexError, match=r"vectors\.npy is damaged"):
        two.current()


def test_a_file_of_another_generation_is_refused(two: Generations) -> None:
    old, new = (two.folder / name for name in generations_in(two.folder))
    shutil.copy(old / "vectors.npy", new / "vectors.npy")
    assert number_of(two.current()) == 1


def test_a_new_generation_heals(two: Generations) -> None:
    damage(two.folder / "CURRENT", "emptied")
    damaged = two.current()
    assert damaged is not None
    assert damaged.fallback
    two.write(filled(3))
    healed = two.current()
    assert number_of(healed) == 3
    assert healed is not None
    assert not healed.fallback


def test_large_files_are_hashed_when_asked(tmp_path: Path) -> None:
    def fill(folder: Path) -> Mapping[str, Any]:
        (folder / "large").write_bytes(bytes(17 << 20))
        return {}

    generations = Generations(tmp_path)
    damage(generations.write(fill).folder / "large", "flipped")
    assert generations.current(verify="sizes") is not None
    with pytest.raises(DamagedIndexError, match="large"):
        generations.current(verify="hashes")


def test_asking_a_stored_graph_does_not_damage_it(tmp_path: Path) -> None:
    def fill(folder: Path) -> Mapping[str, Any]:
        store = ox.Store(tmp_path / "store")
        store.add(ox.Quad(ox.NamedNode("http://ex/s"), ox.NamedNode("http://ex/p"), ox.Literal("o")))
        store.backup(folder / "kg")
        return {}

    generations = Generations(tmp_path / "index")
    folder = generations.write(fill).folder
    assert len(ox.Store.read_only(str(folder / "kg"))) == 1
    read = generations.current(verify="hashes")
    assert read is not None
    assert not read.fallback


def test_another_format_is_a_mismatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kgllm.generations._FORMAT", 2)
    Generations(tmp_path).write(filled(1))
    monkeypatch.undo()
    with pytest.raises(IndexMismatchError, match="format 2"):
        Generations(tmp_path).current()


def test_a_failed_fill_leaves_the_old_one_and_nothing_else(two: Generations) -> None:
    def fail(folder: Path) -> Mapping[str, Any]:
        (folder / "half").write_text("x")
        raise KeyboardInterrupt

    before = generations_in(two.folder)
    with pytest.raises(KeyboardInterrupt):
        two.write(fail)
    assert generations_in(two.folder) == before
    assert number_of(two.current()) == 2


def test_a_folder_that_may_not_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        Generations(tmp_path / "file" / "index").write(filled(1))


@pytest.mark.parametrize("kilobytes", [0, 1, 10, 100, 390])
def test_a_full_disk_keeps_the_old_one(two: Generations, kilobytes: int) -> None:
    def fill(folder: Path) -> Mapping[str, Any]:
        save_array(folder / "vectors.npy", np.zeros((1_000, 100), np.float32))
        return {}

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1_000, before[1]))
    try:
        with pytest.raises(BackendError, match="the disk is full"):
            two.write(fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(generations_in(two.folder)) == 2
    assert number_of(two.current(verify="hashes")) == 2


def test_an_array_is_saved_as_numpy_loads_it(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    save_array(tmp_path / "a.npy", array)
    assert (np.load(tmp_path / "a.npy", mmap_mode="r", allow_pickle=False) == array).all()
    with pytest.raises(ValueError, match=r"[Oo]bject"):
        save_array(tmp_path / "b.npy", np.array([{}], dtype=object))


WRITER = """
import os, sys
from pathlib import Path
from kgllm.generations import Generations
def filled(number):
    def fill(folder):
        (folder / "kg").mkdir()
        for name in ("vectors.npy", "names.sqlite", "kg/000001.sst"):
            (folder / name).write_text(f"{number} " * 100)
        return {"number": number}
    return fill
generations, first = Generations(Path(sys.argv[1])), int(sys.argv[2])
"""


def start(body: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER + body, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_kill_9_loses_nothing_acknowledged_and_mixes_nothing(tmp_path: Path) -> None:
    seed = time.time_ns()
    chance = random.Random(seed)
    generations, acknowledged, patience_s = Generations(tmp_path), 1, 0.02
    generations.write(filled(1))
    body = (
        "print('ready', flush=True)\n"
        "for number in range(first, first + 1000):\n"
        "    generations.write(filled(number)); print(number, flush=True)\n"
    )
    for _ in range(40):
        writer = start(body, tmp_path, acknowledged + 1)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0, patience_s))
        writer.kill()
        said = writer.communicate()[0].split()
        patience_s *= 0.7 if said else 1.3  # so that most kills fall into a write, however busy the machine is
        acknowledged = int(said[-1]) if said else acknowledged
        found = number_of(generations.current(verify="hashes"))
        assert found in (acknowledged, acknowledged + 1), f"seed {seed}"
        acknowledged = found
    assert acknowledged > 1, "no writer was given the time to finish"
    generations.write(filled(0))
    assert len(list(tmp_path.iterdir())) == 4, "two generations, the pointer and the lock: leftovers are swept"


def test_a_crash_before_the_switch_leaves_the_old_one(two: Generations) -> None:
    writer = start("os.replace = lambda *_: os._exit(9)\ngenerations.write(filled(3))", two.folder, 3)
    assert writer.wait() == 9
    writer.communicate()
    assert number_of(two.current(verify="hashes")) == 2
    assert not getattr(two.current(), "fallback", True)


def test_a_fault_after_the_switch_does_not_take_the_new_one_away(
    two: Generations, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def interrupted(*paths: Path) -> None:
        replace(*paths)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        two.write(filled(3))
    assert number_of(two.current(verify="hashes")) == 3


def test_a_crash_before_the_first_switch_leaves_none(tmp_path: Path) -> None:
    writer = start("os.replace = lambda *_: os._exit(9)\ngenerations.write(filled(3))", tmp_path, 3)
    assert writer.wait() == 9
    writer.communicate()
    assert Generations(tmp_path).current() is None


def test_two_writers_and_a_reader_never_meet_a_torn_generation(tmp_path: Path) -> None:
    body = "for number in range(first, first + 40): generations.write(filled(number))"
    generations = Generations(tmp_path)
    generations.write(filled(1))
    writers = [start(body, tmp_path, first) for first in (1_000, 2_000)]
    seen: set[int] = set()
    while any(writer.poll() is None for writer in writers):
        found = generations.current(verify="hashes")
        assert found is not None
        assert not found.fallback
        seen.add(int(found.manifest["number"]))
    assert [writer.wait() for writer in writers] == [0, 0]
    for writer in writers:
        writer.communicate()
    assert number_of(generations.current()) in (1_039, 2_039)
    assert seen
    current = generations.current()
    assert current is not None
    assert current.manifest["generation"] == 81


def test_threads_write_one_after_the_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: Generations(tmp_path).write(filled(number)), range(20)))
    current = Generations(tmp_path).current(verify="hashes")
    assert current is not None
    assert current.manifest["generation"] == 20


def test_the_manifest_is_plain_json(two: Generations) -> None:
    current = two.current()
    assert current is not None
    assert json.loads((current.folder / "MANIFEST.json").read_text()) == current.manifest
