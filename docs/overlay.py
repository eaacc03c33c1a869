r"""Make docs/overlay.gif, the moving picture of README.md, from an overlay that `cardpose predict` drew.

    cardpose synthesize out=demo scene=near clips=5 frames_per_clip=30 counts=[14,20,29,37,45] seed=1 \
        width=480 height=360 rate=12
    cardpose predict demo/videos --overlay
    python docs/overlay.py predictions/overlay/0003.mp4
"""

import sys
from pathlib import Path

import av
from PIL import Image

OUT = Path(__file__).with_name("overlay.gif")


def main(video: str, out: Path = OUT) -> None:
    """Write the frames of a video as a GIF that repeats for ever."""
    with av.open(video) as container:
        rate = container.streams.video[0].average_rate
        frames = [frame.to_image() for frame in container.decode(video=0)]
    palette = frames[len(frames) // 2].quantize(128, Image.Quantize.MEDIANCUT)
    first, *rest = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    first.save(out, save_all=True, append_images=rest, duration=round(1000 / float(rate or 12)), loop=0)


if __name__ == "__main__":
    main(sys.argv[1])
