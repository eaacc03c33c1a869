import errno
import logging
import multiprocessing
import os
import pickle
import re
import resource
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from cardpose.common.errors import InputError
from cardpose.data import cache
from cardpose.data.cache import FrameCache, cache_key, open_or_build
from cardpose.geometry.letterbox import letterbox

SIZE = (24, 32)
WANTED = [("a", 0), ("a", 4), ("b", 1), ("b", 2), ("b", 9)]
SPAWN = multiprocessing.get_context("spawn")


@dataclass
class Footage:
    """Frames made up from their names; `reads` lists the videos that were decoded, across processes."""

    root: Path
    version: str = "1"
    delay: float = 0.0

    def frame(self, video: str, index: int) -> np.ndarray:
        rng = np.random.default_rng([ord(video), index, int(self.version)])
        return rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)

    def read_frames(self, video: str, indices: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        with open(self.root / "reads", "a") as file:
            file.write(video)
        for index in indices:
            time.sleep(self.delay)
            yield index, self.frame(video, index)

    def fingerprint(self, video: str) -> str:
        return self.version + video

    def reads(self) -> str:
        path = self.root / "reads"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def footage(tmp_path: Path) -> Footage:
    (tmp_path / "footage").mkdir()
    return Footage(tmp_path / "footage")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "caches"


def resident(file: Path) -> int:
    """Kilobytes of a mapped file that count as this process's memory."""
    blocks = re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text())
    of_file = [block for block in blocks if str(file) in block.splitlines()[0]]
    return sum(int(re.findall(r"^Rss: +(\d+)", block, re.MULTILINE)[0]) for block in of_file)


@pytest.mark.skipif(
    not Path("/proc/self/smaps").exists(), reason="this system does not tell a process's pages"
)
def test_frames_that_were_read_do_not_pile_up_in_memory(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (400, 96, 128, 3), dtype=np.uint8)  # 15 MB
    np.save(tmp_path / "images.npy", images)
    frames = FrameCache(tmp_path)
    for row in (*range(400), *range(399, -1, -7)):
        np.testing.assert_array_equal(frames.frame(row), images[row])
    assert resident(tmp_path / "images.npy") < 1000
    assert [int(image.sum()) for image in frames.images] == images.sum((1, 2, 3)).tolist()  # this way they do
    assert resident(tmp_path / "images.npy") > 10_000


def left_over(folder: Path) -> list[str]:
    """What stands in the folder of caches beside lock files."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock") if folder.exists() else []


def assert_holds(frames: FrameCache, footage: Footage) -> None:
    assert len(frames) == len(WANTED)
    for row, (video, index) in enumerate(WANTED):
        image, to_source = letterbox(footage.frame(video, index), SIZE)
        np.testing.assert_array_equal(frames.images[row], image)
        np.testing.assert_array_equal(frames.frame(row), image)
        np.testing.assert_array_equal(frames.to_source[row], to_source)


def test_holds_the_wanted_frames_in_order(footage: Footage, folder: Path) -> None:
    frames = open_or_build(footage, WANTED, SIZE, folder)
    assert_holds(frames, footage)
    assert isinstance(frames.images, np.memmap)
    assert not frames.images.flags.writeable
    assert left_over(folder) == [cache_key(footage, WANTED, SIZE)]


def test_second_run_reads_no_footage(footage: Footage, folder: Path) -> None:
    open_or_build(footage, WANTED, SIZE, folder)
    assert footage.reads() == "ab"
    assert_holds(open_or_build(footage, WANTED, SIZE, folder), footage)
    assert footage.reads() == "ab"


def test_changed_footage_is_another_cache(footage: Footage, folder: Path) -> None:
    old = open_or_build(footage, WANTED, SIZE, folder)
    changed = Footage(footage.root, version="2")
    assert_holds(open_or_build(changed, WANTED, SIZE, folder), changed)
    assert_holds(old, footage)


def test_key_depends_on_all_that_made_the_cache(footage: Footage, tmp_path: Path) -> None:
    keys = {
        cache_key(footage, WANTED, SIZE),
        cache_key(footage, WANTED, (32, 24)),
        cache_key(footage, WANTED[:-1], SIZE),
        cache_key(Footage(tmp_path), WANTED, SIZE),
        cache_key(Footage(footage.root, version="2"), WANTED, SIZE),
    }
    assert len(keys) == 5
    assert cache_key(Footage(footage.root), list(WANTED), SIZE) in keys


def test_travels_to_workers_as_a_path(footage: Footage, folder: Path) -> None:
    wanted = [("a", index) for index in range(40)]
    frames = open_or_build(footage, wanted, SIZE, folder)
    assert frames.images.nbytes > 80_000
    packed = pickle.dumps(frames)
    assert len(packed) < 1000
    np.testing.assert_array_equal(pickle.loads(packed).images, frames.images)


def build(footage: Footage, folder: Path) -> None:
    open_or_build(footage, WANTED, SIZE, folder)


def test_two_processes_build_one_cache(footage: Footage, folder: Path) -> None:
    footage.delay = 0.05
    processes = [SPAWN.Process(target=build, args=(footage, folder)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert footage.reads() == "ab"
    assert_holds(open_or_build(footage, WANTED, SIZE, folder), footage)


def test_waits_for_the_builder_and_is_reported(
    footage: Footage, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    footage.delay = 0.2
    builder = SPAWN.Process(target=build, args=(footage, folder))
    builder.start()
    wait_for(lambda: footage.reads() != "")
    with caplog.at_level(logging.INFO):
        open_or_build(footage, WANTED, SIZE, folder)
    builder.join(60)
    assert "waiting" in caplog.text
    assert footage.reads() == "ab"


def test_killed_builder_leaves_nothing_behind(footage: Footage, folder: Path) -> None:
    footage.delay = 60
    builder = SPAWN.Process(target=build, args=(footage, folder))
    builder.start()
    wait_for(lambda: footage.reads() != "")
    os.kill(builder.pid, signal.SIGKILL)
    builder.join(60)
    (partial,) = left_over(folder)
    assert partial.endswith(".partial")
    footage.delay = 0
    assert_holds(open_or_build(footage, WANTED, SIZE, folder), footage)
    assert left_over(folder) == [cache_key(footage, WANTED, SIZE)]


def wait_for(condition) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("the builder did not start")


def test_unreadable_frame_leaves_nothing(
    footage: Footage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(video: str, indices: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        yield indices[0], footage.frame(video, indices[0])
        raise InputError("a: truncated")

    monkeypatch.setattr(footage, "read_frames", broken)
    with pytest.raises(InputError, match="a: truncated"):
        open_or_build(footage, WANTED, SIZE, folder)
    assert left_over(folder) == []


def test_footage_that_changes_while_it_is_read(
    footage: Footage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = iter("112222")  # two videos before the build, two after it
    monkeypatch.setattr(footage, "fingerprint", lambda video: next(versions))
    with pytest.raises(InputError, match="footage changed"):
        open_or_build(footage, WANTED, SIZE, folder)
    assert left_over(folder) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_failed_write(footage: Footage, folder: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fail(path: Path) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(cache, "sync", fail)
    with pytest.raises(InputError, match=r"caches/.*(space|quota|large|limit).*paths\.cache.* MB"):
        open_or_build(footage, WANTED, SIZE, folder)
    assert left_over(folder) == []


def fill(footage: Footage, folder: Path, answers) -> None:
    """Build under a real limit on the size of files."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
    try:
        build(footage, folder)
    except InputError as error:
        answers.put(str(error))


def test_file_size_limit_of_the_system(footage: Footage, folder: Path) -> None:
    answers = SPAWN.Queue()
    process = SPAWN.Process(target=fill, args=(footage, folder, answers))
    process.start()
    assert "raise the limit on file sizes or set paths.cache" in answers.get(timeout=60)
    process.join(60)
    assert process.exitcode == 0
    assert left_over(folder) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("a tmpfs may not be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_full_disk(footage: Footage, small_disk: Path) -> None:
    wanted = [("a", index) for index in range(60)]  # 138 kB
    with pytest.raises(InputError, match=r"No space left on device: free some space or set paths\.cache"):
        open_or_build(footage, wanted, SIZE, small_disk)
    assert left_over(small_disk) == []
    assert_holds(open_or_build(footage, WANTED, SIZE, small_disk), footage)  # 12 kB fit again


def test_folder_that_cannot_be_made(footage: Footage, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/caches: Not a directory: set paths\.cache .* is a file"):
        open_or_build(footage, WANTED, SIZE, tmp_path / "file" / "caches")


def test_folder_without_permission(footage: Footage, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, **_: object) -> None:  # root may write everywhere
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match=r"caches: Permission denied: set paths\.cache.*may not write"):
        open_or_build(footage, WANTED, SIZE, folder)
