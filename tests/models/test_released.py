"""Names of models, and what is released."""

from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from cardpose.common.errors import InputError
from cardpose.common.files import file_digest
from cardpose.common.hydra_entry import plain
from cardpose.common.hydra_words import CONF
from cardpose.common.packet import VISIBLE
from cardpose.deploy.parity import LIMITS
from cardpose.models import checkpoints
from cardpose.models.builder import build
from cardpose.models.released import DEFAULT, RELEASED, ZOO, find_checkpoint, find_model
from cardpose.prediction.backends import OnnxBackend
from cardpose.prediction.predictor import Predictor
from cardpose.synth.rendering.labels import annotate
from cardpose.synth.rendering.renderer import Renderer
from cardpose.synth.sampling.scene import sample_clip, sample_shot

LARGEST_MB = {"packet": 12.0, "packet-fast": 1.5}


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_model_is_found_by_its_name_and_is_small(name: str) -> None:
    path = find_model(name)
    assert path == ZOO / f"{name}.ckpt"
    assert path.stat().st_size < LARGEST_MB[name] * 1e6
    described = checkpoints.read(path)[checkpoints.KEY]
    assert described["config"]["name"] == name.replace("-", "_")
    about = OnnxBackend(find_model(name, exported=True)).about
    assert about["checkpoint"] == file_digest(path), (
        "python -m cardpose.deploy.release NAME NAME writes it again"
    )
    assert not any(str(value).startswith("/") for value in described["config"]["paths"].values())


def test_without_a_name_the_default_model_is_meant() -> None:
    assert find_checkpoint("") == find_model(DEFAULT)


def test_an_unknown_name_names_the_released_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"packit: no such file: choose .* packet or packet-fast"):
        find_model("packit")


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_model_finds_and_counts_rendered_packets(name: str) -> None:
    """Scenes of another seed and distribution than it was trained on; the limits are far above its errors."""
    with initialize_config_dir(str(CONF / "scene"), version_base="1.3"):
        scene = build(plain(compose("near")))
    predictor, pytorch = Predictor.from_file(name), Predictor.from_file(find_model(name))
    assert isinstance(predictor.backend, OnnxBackend)
    assert predictor.interval == pytorch.interval
    px, cards = [], []
    for number in range(12):
        clip = sample_clip(
            scene, seed=9, number=number, cards=4 * number + 2, frames=1, rate=1, width=320, height=240
        )
        shot = sample_shot(clip, 0)
        label = annotate(clip, shot, "a")
        image = Renderer(clip).frame(shot)
        found, expected = predictor(image), pytorch(image)
        assert found.cards == pytest.approx(expected.cards, abs=LIMITS["cards"])
        np.testing.assert_allclose(found.corners, expected.corners, atol=LIMITS["corners"] * 320 / 256)
        visible = label.visibility == VISIBLE
        px.append(np.median(np.linalg.norm(found.corners - label.corners, axis=1)[visible]))
        cards.append(abs(found.cards - clip.packet.cards))
    assert np.median(px) < 3
    assert np.median(cards) < 5
