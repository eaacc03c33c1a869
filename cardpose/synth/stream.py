"""An endless stream of labelled frames, rendered on demand."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.packet import CARDS_PER_DECK, Annotation
from cardpose.synth.records import Clip
from cardpose.synth.rendering.labels import annotate
from cardpose.synth.rendering.renderer import Renderer
from cardpose.synth.sampling.distributions import SceneConfig
from cardpose.synth.sampling.scene import Part, check_counts, sample_clip, sample_shot, stream


class SceneStream:
    """Maps an index to a frame; the result depends on seed and index only, not on the process.

    `frames_per_clip` successive frames show one packet and share what is computed per clip.

    Args:
        scene: the distributions.
        size: (H, W) of the frames in pixels, even.
        frames_per_clip: frames of one packet.
        rate: frames per second of a clip.
        seed: of the scenes.
        counts: counts of the packets, used in turn; None draws from 1 to 52.

    Raises:
        InputError: a number is out of range.
    """

    def __init__(
        self,
        scene: SceneConfig,
        size: tuple[int, int],
        frames_per_clip: int,
        rate: float,
        seed: int,
        counts: Sequence[int] | None = None,
    ) -> None:
        for name, value in (("frames_per_clip", frames_per_clip), ("rate", rate)):
            if not value > 0:
                raise InputError(f"data.stream.{name}={value}: choose a number above 0")
        check_counts(counts, "data.stream.counts")
        self.scene, self.counts, self.height, self.width = scene, counts, size[0], size[1]
        self.frames_per_clip, self.rate, self.seed = frames_per_clip, rate, seed

    def __call__(self, index: int) -> tuple[np.ndarray, Annotation]:
        """Image (H, W, 3) uint8 RGB and its label."""
        number, frame = divmod(index, self.frames_per_clip)
        clip, renderer = self.clip(number)
        shot = sample_shot(clip, frame)
        return renderer.frame(shot), annotate(clip, shot, f"stream/{number}")

    def cards(self, number: int) -> int:
        """The count of clip `number`."""
        if self.counts is not None:
            return self.counts[number % len(self.counts)]
        return int(stream(self.seed, number, Part.COUNT).integers(1, CARDS_PER_DECK + 1))

    def clip(self, number: int) -> tuple[Clip, Renderer]:
        """A clip and its renderer; each process caches the last one."""
        return _open_clip(self, number)


@lru_cache(maxsize=1)
def _open_clip(scenes: SceneStream, number: int) -> tuple[Clip, Renderer]:
    clip = sample_clip(
        scenes.scene,
        seed=scenes.seed,
        number=number,
        cards=scenes.cards(number),
        frames=scenes.frames_per_clip,
        rate=scenes.rate,
        width=scenes.width,
        height=scenes.height,
    )
    return clip, Renderer(clip)
