"""Render labelled footage of packets of cards.

python -m cardpose.synthesize out=outputs/synthetic clips=52 seed=0

Writes a dataset folder. The same command continues an interrupted run; a complete folder is left as it is.
`preview=sheet.png` draws a contact sheet with the corners instead.
"""

from omegaconf import DictConfig

from cardpose.common.hydra_entry import entry, plain
from cardpose.models.builder import build


@entry("synthesize")
def main(cfg: DictConfig) -> None:
    """Render `cfg.out`, or draw `cfg.preview`; prints the path."""
    from cardpose.synth.dataset import Footage, ensure
    from cardpose.synth.preview import draw_preview

    config = plain(cfg)
    footage = Footage(
        scene=build(config["scene"], "scene"),
        clips=cfg.clips,
        frames_per_clip=cfg.frames_per_clip,
        counts=config["counts"],
        seed=cfg.seed,
        width=cfg.width,
        height=cfg.height,
        rate=cfg.rate,
    )
    print(draw_preview(footage, cfg.preview) if cfg.preview else ensure(cfg.out, footage, cfg.workers))


if __name__ == "__main__":
    main()
