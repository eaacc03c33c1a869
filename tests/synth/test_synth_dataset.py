import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cardpose.common.errors import InputError
from cardpose.synth.dataset import SETTINGS, Footage, claim, generate, missing, read_or_render
from cardpose.synth.preview import contact_sheet


class Frames(list[np.ndarray]):
    def write(self, image: np.ndarray, timestamp: float) -> None:
        self.append(image)


@contextmanager
def save_frames(path: Path, width: int, height: int, rate: float) -> Iterator[Frames]:
    """Stands in for the video writer: keeps the exact pixels."""
    frames = Frames()
    yield frames
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as stream:
        np.save(stream, np.stack(frames))


def rendered(footage: Footage, root: Path) -> list[np.ndarray]:
    return [np.load(root / footage.file(number)) for number in range(footage.clips)]


def run(footage: Footage, root: Path, workers: int) -> list[int]:
    claim(footage, root)
    return list(generate(footage, root, save_frames, workers))


def test_frames_do_not_depend_on_the_workers(footage: Footage, tmp_path: Path) -> None:
    assert sorted(run(footage, tmp_path / "one", 1)) == [0, 1, 2]
    assert sorted(run(footage, tmp_path / "two", 2)) == [0, 1, 2]
    for one, two in zip(
        rendered(footage, tmp_path / "one"), rendered(footage, tmp_path / "two"), strict=True
    ):
        np.testing.assert_array_equal(one, two)
    assert len({frames.tobytes() for frames in rendered(footage, tmp_path / "one")}) == 3


def test_an_interrupted_run_goes_on(footage: Footage, tmp_path: Path) -> None:
    claim(footage, tmp_path)
    for _ in generate(footage, tmp_path, save_frames, workers=1):
        break
    assert missing(footage, tmp_path) == [1, 2]
    assert run(footage, tmp_path, 1) == [1, 2]
    assert sorted(path.name for path in (tmp_path / "videos").iterdir()) == [
        "0000.mp4",
        "0001.mp4",
        "0002.mp4",
    ]
    assert run(footage, tmp_path, 1) == []


def test_annotations_cover_every_frame(footage: Footage) -> None:
    annotations = list(footage.annotations())
    assert [(a.video, a.frame_index) for a in annotations] == [
        (footage.file(clip), frame) for clip in range(3) for frame in range(2)
    ]
    assert {a.cards for a in annotations} == {1, 27, 52}
    assert [a.timestamp for a in annotations[:2]] == [0.0, 0.1]
    assert all((a.width, a.height) == (96, 64) for a in annotations)


@pytest.mark.parametrize(
    ("clips", "counts", "want"),
    [
        (52, None, list(range(1, 53))),
        (4, None, [1, 18, 35, 52]),
        (1, None, [1]),
        (54, None, [*range(1, 53), 1, 2]),
        (5, [7, 9], [7, 9, 7, 9, 7]),
        (1, [104], [104]),
    ],
)
def test_counts_of_the_clips(footage: Footage, clips: int, counts: list[int] | None, want: list[int]) -> None:
    filmed = replace(footage, clips=clips, counts=counts)
    assert [filmed.cards(number) for number in range(clips)] == want


def test_labels_scale_with_the_image(footage: Footage) -> None:
    """The same scene at twice the size: the same corners, at (x + 0.5) * 2 - 0.5."""
    small = next(footage.annotations())
    large = next(replace(footage, width=192, height=128).annotations())
    both = (small.visibility > 0) & (large.visibility > 0)
    assert both.sum() >= 6
    np.testing.assert_allclose(large.corners[both], (small.corners[both] + 0.5) * 2 - 0.5, atol=1e-3)


def test_other_settings_are_refused_by_name(footage: Footage, tmp_path: Path) -> None:
    claim(footage, tmp_path)
    claim(footage, tmp_path)
    assert json.loads((tmp_path / SETTINGS).read_text())["seed"] == 5
    with pytest.raises(InputError, match=r"another clips, seed: choose another folder"):
        claim(replace(footage, seed=6, clips=2), tmp_path)
    narrower = replace(footage.scene, packet=replace(footage.scene.packet, gap=(0.1, 0.2)))
    with pytest.raises(InputError, match="another scene"):
        claim(replace(footage, scene=narrower), tmp_path)
    (tmp_path / SETTINGS).write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        claim(footage, tmp_path)


def test_a_training_renders_other_settings_into_a_folder_named_by_them(
    footage: Footage, tmp_path: Path
) -> None:
    small = replace(footage, clips=1, frames_per_clip=1)
    assert read_or_render(tmp_path / "tiny", small).root == tmp_path / "tiny"
    other = read_or_render(tmp_path / "tiny", replace(small, seed=6)).root
    assert other.parent == tmp_path
    assert other.name.startswith("tiny_")
    assert read_or_render(tmp_path / "tiny", replace(small, seed=6)).root == other
    assert read_or_render(tmp_path / "tiny", small).root == tmp_path / "tiny"


def test_a_folder_of_something_else_is_left_alone(footage: Footage, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="contains something other than synthetic footage"):
        claim(footage, tmp_path)
    with pytest.raises(InputError, match="contains something other"):
        claim(footage, tmp_path / "thesis.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clips": 0}, "clips=0"),
        ({"frames_per_clip": -1}, "frames_per_clip=-1"),
        ({"rate": 0}, "rate=0"),
        ({"seed": -1}, "seed=-1"),
        ({"width": 97}, "width=97: choose an even number"),
        ({"height": 10}, "height=10"),
        ({"counts": []}, r"counts=\[\]"),
        ({"counts": [0]}, "counts: 0 is not a count"),
        ({"counts": [105]}, "counts: 105 is not a count"),
        ({"counts": [3.5]}, "counts: 3.5 is not a count"),
        ({"counts": ["many"]}, "counts: 'many' is not a count"),
    ],
)
def test_impossible_footage_is_refused(footage: Footage, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(footage, **change)


def test_contact_sheet_shows_clips_and_corners(footage: Footage) -> None:
    sheet = contact_sheet(footage, columns=2)
    assert sheet.shape == (128, 192, 3)
    assert np.any(np.all(np.abs(sheet.astype(int) - (60, 255, 60)) < 60, -1)), "visible corners are green"


def test_footage_from_before_a_key_of_the_scene_is_recognised(footage: Footage, tmp_path: Path) -> None:
    claim(footage, tmp_path)
    settings = json.loads((tmp_path / SETTINGS).read_text())
    del settings["second"], settings["scene"]["packet"]["absent"], settings["scene"]["occluders"]["objects"]
    (tmp_path / SETTINGS).write_text(json.dumps(settings))
    claim(footage, tmp_path)
    sometimes_empty = replace(footage.scene, packet=replace(footage.scene.packet, absent=0.5))
    with pytest.raises(InputError, match="another scene"):
        claim(replace(footage, scene=sometimes_empty), tmp_path)


def test_every_second_run_of_counts_shows_the_second_scene(footage: Footage) -> None:
    thick = replace(footage.scene, packet=replace(footage.scene.packet, thickness=(0.9, 1.0)))
    two = replace(footage, clips=3 * 52, counts=None, second=thick)
    packets = [two.clip(number).packet for number in (0, 51, 52, 103, 104)]
    assert [packet.thickness / packet.cards > 0.8 for packet in packets] == [False, False, True, True, False]
