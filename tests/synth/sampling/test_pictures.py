from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from cardpose.common.errors import InputError
from cardpose.synth.dataset import Footage
from cardpose.synth.rendering.renderer import Renderer
from cardpose.synth.sampling import pictures
from cardpose.synth.sampling.distributions import SceneConfig
from cardpose.synth.sampling.scene import sample_clip, sample_shot


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A red and a blue picture, in OpenCV's BGR."""
    for name, colour in (("red", (0, 0, 250)), ("blue", (250, 0, 0))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((90, 120, 3), colour, np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def scene(config: SceneConfig, folder: Path) -> SceneConfig:
    table = replace(config.table, pictures=str(folder), picture_share=1.0, folds=(0.0, 0.0))
    return replace(config, table=table, back=replace(config.back, pictures=str(folder), picture_share=1.0))


def test_pictures_become_tables_and_backs(scene_config: SceneConfig, folder: Path) -> None:
    seen = set()
    for number in range(12):
        clip = sample_clip(
            scene(scene_config, folder),
            seed=0,
            number=number,
            cards=30,
            frames=1,
            rate=1,
            width=320,
            height=240,
        )
        assert clip.table.picture is not None
        assert clip.back.picture is not None
        image = Renderer(clip).frame(sample_shot(clip, 0)).astype(int)
        red = image[..., 0] > image[..., 2]
        x, y = (
            sample_shot(clip, 0).camera.project(np.array([0, 0, clip.packet.thickness])).round().astype(int)
        )
        assert red[y, x] == ("red" in clip.back.picture)
        assert red[-10:, :5].mean() == pytest.approx(float("red" in clip.table.picture), abs=0.1)
        seen.add((clip.table.picture, clip.back.picture))
    assert len(seen) == 4


def test_a_share_of_the_clips_shows_pictures(scene_config: SceneConfig, folder: Path) -> None:
    half = scene(scene_config, folder)
    half = replace(half, table=replace(half.table, picture_share=0.5))
    shown = [
        sample_clip(half, seed=1, number=n, cards=1, frames=1, rate=1, width=64, height=64).table.picture
        for n in range(200)
    ]
    assert 0.4 < np.mean([picture is not None for picture in shown]) < 0.6


def test_another_picture_is_other_footage(scene_config: SceneConfig, folder: Path) -> None:
    def settings() -> dict:
        pictures.find.cache_clear()
        pictures.digest.cache_clear()
        return Footage(scene(scene_config, folder), 1, 1, None, 0, 64, 64, 5).settings()

    before = settings()
    assert settings() == before
    cv2.imwrite(str(folder / "red.png"), np.full((90, 120, 3), 7, np.uint8))
    assert settings() != before


def test_bad_folders_are_named(scene_config: SceneConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: no such folder"):
        scene(scene_config, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: has no pictures"):
        scene(scene_config, tmp_path / "empty")
    broken, tiny = tmp_path / "a", tmp_path / "b"
    for path in (broken, tiny):
        path.mkdir()
    (broken / "x.jpg").write_bytes(b"\xff\xd8 no more")
    with pytest.raises(InputError, match=r"x\.jpg: missing or not a whole image"):
        scene(scene_config, broken)
    cv2.imwrite(str(tiny / "y.png"), np.zeros((100, 20, 3), np.uint8))
    with pytest.raises(InputError, match=r"y\.png: is 20x100: needs at least 64"):
        scene(scene_config, tiny)
