import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from in_process import Command
from omegaconf import OmegaConf

from cardpose.common.errors import InputError
from cardpose.common.hydra_entry import plain
from cardpose.data.footage.folder import DatasetFolder
from cardpose.models.builder import build
from cardpose.synth.dataset import Footage, ensure
from cardpose.synth.rendering.renderer import Renderer
from cardpose.synth.sampling.scene import sample_shot
from cardpose.synthesize import main

ROOT = Path(__file__).parents[2]
TINY = ["clips=3", "frames_per_clip=2", "width=96", "height=64", "seed=5", "rate=10"]


@pytest.fixture
def footage() -> Footage:
    scene = build(plain(OmegaConf.load(ROOT / "conf" / "scene" / "baseline.yaml")))
    return Footage(scene, clips=3, frames_per_clip=2, counts=None, seed=5, width=96, height=64, rate=10)


def contents(root: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def command(*overrides: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "cardpose.synthesize", *overrides]
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_the_folder_is_a_dataset_like_any_other(footage: Footage, tmp_path: Path) -> None:
    folder = DatasetFolder.read(ensure(tmp_path / "out", footage, workers=1))
    assert [(video.file, video.cards) for video in folder.videos] == [
        ("videos/0000.mp4", 1),
        ("videos/0001.mp4", 27),
        ("videos/0002.mp4", 52),
    ]
    for got, want in zip(folder.annotations, footage.annotations(), strict=True):
        assert (got.video, got.frame_index, got.cards) == (want.video, want.frame_index, want.cards)
        np.testing.assert_array_equal(got.corners, want.corners)
        np.testing.assert_array_equal(got.visibility, want.visibility)
        assert got.timestamp == pytest.approx(want.timestamp)
    clip = footage.clip(2)
    renderer = Renderer(clip)
    for index, image in folder.read_frames("videos/0002.mp4", [0, 1]):
        error = image.astype(float) - renderer.frame(sample_shot(clip, index))
        assert np.abs(error).mean() < 12, "the video shows the frame that was rendered"


def test_a_finished_folder_is_left_as_it_is(footage: Footage, tmp_path: Path) -> None:
    before = contents(ensure(tmp_path, footage, workers=1))
    assert contents(ensure(tmp_path, footage, workers=1)) == before


def test_a_lost_clip_is_rendered_again(footage: Footage, tmp_path: Path) -> None:
    before = contents(ensure(tmp_path, footage, workers=1))
    (tmp_path / "videos" / "0001.mp4").unlink()
    after = contents(ensure(tmp_path, footage, workers=1))
    assert {name: data for name, (data, _) in after.items()} == {
        name: data for name, (data, _) in before.items()
    }
    assert after["videos/0000.mp4"] == before["videos/0000.mp4"]


def test_workers(footage: Footage, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="workers=0"):
        ensure(tmp_path / "out", footage, workers=0)
    assert not (tmp_path / "out").exists()


def test_same_bytes_whatever_the_workers_and_interruptions(footage: Footage, tmp_path: Path) -> None:
    """A run killed half-way, then finished by two workers, gives what one worker gives at a stretch."""
    whole = contents(ensure(tmp_path / "whole", replace(footage, clips=10), workers=1))
    torn = tmp_path / "torn"
    call = [sys.executable, "-m", "cardpose.synthesize", f"out={torn}", *TINY, "clips=10", "workers=1"]
    process = subprocess.Popen(call, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (torn / "videos" / "0000.mp4").exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (torn / "annotations.json").exists(), "killed too late for this test"
    done = command(f"out={torn}", *TINY, "clips=10", "workers=2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == str(torn)
    assert {name: data for name, (data, _) in contents(torn).items()} == {
        name: data for name, (data, _) in whole.items()
    }


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell a child")
def test_workers_end_when_the_command_is_killed(tmp_path: Path) -> None:
    call = [sys.executable, "-m", "cardpose.synthesize", f"out={tmp_path}", *TINY, "clips=4000", "workers=2"]
    process = subprocess.Popen(call, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "videos" / "0000.mp4").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    assert len(children) >= 2
    while any(running(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(running(child) for child in children)


def running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_ctrl_c_shows_how_to_continue(tmp_path: Path) -> None:
    out = tmp_path / "out"
    call = [sys.executable, "-m", "cardpose.synthesize", f"out={out}", *TINY, "clips=400", "workers=1"]
    process = subprocess.Popen(call, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (out / "videos" / "0002.mp4").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "of 400 clips: run the same command to continue" in errors
    assert "Traceback" not in errors
    assert (out / "videos" / "0000.mp4").exists()
    assert not list((out / "videos").glob(".*")), "the clip in the making leaves nothing"


def test_other_settings_and_bad_ranges_are_one_line_each(
    footage: Footage, in_process: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ensure(tmp_path / "out", replace(footage, clips=1), workers=1)
    for overrides, message in (
        (TINY, "rendered with another clips"),
        ([*TINY, "scene.packet.gap=[0.3,0.1]"], "PacketRanges.gap"),
    ):
        done = in_process(main, f"out={tmp_path / 'out'}", *overrides)
        assert done.code == 2
        assert message in done.err
        assert len(done.err.strip().splitlines()) == 1


def test_preview_is_a_png_and_nothing_else(
    in_process: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sheet = tmp_path / "sheet.png"
    done = in_process(main, f"out={tmp_path / 'out'}", *TINY, f"preview={sheet}")
    assert done.code == 0, done.err
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["sheet.png"]
    assert not (tmp_path / "out").exists()
