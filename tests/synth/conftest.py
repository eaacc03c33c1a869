from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from cardpose.common.hydra_entry import plain
from cardpose.models.builder import build
from cardpose.synth.dataset import Footage
from cardpose.synth.records import Clip
from cardpose.synth.sampling.distributions import SceneConfig
from cardpose.synth.sampling.scene import sample_clip

CONF = Path(__file__).parents[2] / "conf" / "scene"


@pytest.fixture(scope="session")
def scene_config() -> SceneConfig:
    """The baseline's distributions."""
    return build(plain(OmegaConf.load(CONF / "baseline.yaml")))


@pytest.fixture(scope="session")
def rich_config() -> SceneConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return build(plain(compose("rich")))


@pytest.fixture(scope="session")
def make_clip(scene_config: SceneConfig) -> Callable[..., Clip]:
    """A clip of the baseline's distributions, 640 x 480."""

    def make(number: int = 0, cards: int = 26, seed: int = 0) -> Clip:
        size = {"width": 640, "height": 480}
        return sample_clip(scene_config, seed=seed, number=number, cards=cards, frames=60, rate=15, **size)

    return make


@pytest.fixture
def footage(scene_config: SceneConfig) -> Footage:
    """Three tiny clips."""
    return Footage(
        scene_config, clips=3, frames_per_clip=2, counts=None, seed=5, width=96, height=64, rate=10
    )
