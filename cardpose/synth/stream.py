"""Endless labelled frames, rendered when they are asked for."""

from functools import lru_cache

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.packet import CARDS_PER_DECK, Annotation
from cardpose.synth.records import Clip
from cardpose.synth.rendering.labels import annotate
from cardpose.synth.rendering.render import Renderer
from cardpose.synth.sampling.distributions import SceneConfig
from cardpose.synth.sampling.scene import Part, sample_clip, sample_shot, stream


class SceneStream:
    """Frame `index` of an endless film, a function of seed and index alone: the same in any process.

    `frames_per_clip` successive frames show one packet, so that what a clip shares is made once for them. Counts
    are uniform over 1 to 52.

    Args:
        scene: the distributions.
        size: (H, W) of the frames, even.
        frames_per_clip: frames of one packet.
        rate: of a clip's frames, per second.
        seed: another seed gives other scenes.

    Raises:
        InputError: a number that is out of its range.
    """

    def __init__(
        self, scene: SceneConfig, size: tuple[int, int], frames_per_clip: int, rate: float, seed: int
    ) -> None:
        for name, value in (("frames_per_clip", frames_per_clip), ("rate", rate)):
            if not value > 0:
                raise InputError(f"data.stream.{name}={value}: write a number above 0")
        self.scene, self.height, self.width = scene, size[0], size[1]
        self.frames_per_clip, self.rate, self.seed = frames_per_clip, rate, seed

    def __call__(self, index: int) -> tuple[np.ndarray, Annotation]:
        """Image (H, W, 3) uint8 RGB and its label."""
        number, frame = divmod(index, self.frames_per_clip)
        clip, renderer = self.clip(number)
        shot = sample_shot(clip, frame)
        return renderer.frame(shot), annotate(clip, shot, f"stream/{number}")

    def clip(self, number: int) -> tuple[Clip, Renderer]:
        """A clip and what draws it; a process keeps the last one."""
        return _open_clip(self, number)


@lru_cache(maxsize=1)
def _open_clip(film: SceneStream, number: int) -> tuple[Clip, Renderer]:
    """The clip that is being shown; a process keeps one."""
    clip = sample_clip(
        film.scene,
        seed=film.seed,
        number=number,
        cards=int(stream(film.seed, number, Part.COUNT).integers(1, CARDS_PER_DECK + 1)),
        frames=film.frames_per_clip,
        rate=film.rate,
        width=film.width,
        height=film.height,
    )
    return clip, Renderer(clip)
