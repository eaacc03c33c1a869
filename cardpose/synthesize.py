"""Render labelled footage of packets of cards.

python -m cardpose.synthesize out=outputs/synthetic clips=52 seed=0

Writes a dataset folder. An interrupted run goes on, a finished folder is recognised at once.
`preview=sheet.png` draws a contact sheet with the corners instead.
"""

from pathlib import Path

from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from cardpose.common.errors import InputError
from cardpose.common.files import write_errors
from cardpose.common.hydra_entry import entry, forget_empty_run
from cardpose.common.images import write_image
from cardpose.common.progress import ProgressBar
from cardpose.common.threads import cores
from cardpose.data.footage.folder import DatasetFolder, Video, write_folder
from cardpose.data.footage.video_writer import VideoWriter
from cardpose.synth.dataset import Footage, claim, generate, missing
from cardpose.synth.preview import contact_sheet


def ensure(out: str | Path, footage: Footage, workers: int | None = None) -> Path:
    """See that `out` holds the whole footage as a dataset folder: render what is missing of it.

    Safe when several processes call it at once: one renders, the others wait.

    Args:
        out: the folder.
        footage: what it is to hold.
        workers: processes; None is one a core.

    Returns:
        `out` as a path.

    Raises:
        InputError: the folder holds something else or footage of other settings; the disk is full.
    """
    out = Path(out)
    if workers is not None and workers < 1:
        raise InputError(f"workers={workers}: write 1 or more, or null for one a core")
    with write_errors(out):
        claim(footage, out)
        if _complete(footage, out):
            return out
        with FileLock(out / ".lock"):
            if not _complete(footage, out):
                _render(footage, out, workers or cores())
                videos = [Video(footage.file(i), footage.cards(i), {}) for i in range(footage.clips)]
                write_folder(out, videos, footage.annotations())
    return out


def read_or_render(root: str | Path, footage: Footage) -> DatasetFolder:
    """Open `root`, in which `footage` is rendered first where it is missing; `read` of conf/data/synthetic.yaml.

    Raises:
        InputError: see `ensure` and `DatasetFolder.read`.
    """
    return DatasetFolder.read(ensure(root, footage))


def _complete(footage: Footage, out: Path) -> bool:
    """Labels are written last."""
    return all((out / name).is_file() for name in ("videos.csv", "annotations.json")) and not missing(
        footage, out
    )


def _render(footage: Footage, out: Path, workers: int) -> None:
    done = footage.clips - len(missing(footage, out))
    try:
        clip = footage.frames_per_clip
        with ProgressBar(f"rendering {out}", footage.clips * clip, completed=done * clip) as bar:
            for _ in generate(footage, out, VideoWriter, min(workers, footage.clips - done) or 1):
                bar.advance(clip)
    except KeyboardInterrupt:
        left = len(missing(footage, out))
        raise InputError(
            f"{out}: interrupted with {footage.clips - left} of {footage.clips} clips rendered: "
            "run the same command to go on"
        ) from None


def draw_preview(footage: Footage, path: str | Path) -> Path:
    """Draw a contact sheet of the footage's scenes to `path`, a PNG."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise InputError(f"preview={path}: is no PNG: name it {path.with_suffix('.png')}")
    write_image(path, contact_sheet(footage))
    return path


@entry("synthesize")
def main(cfg: DictConfig) -> None:
    footage = Footage(
        scene=instantiate(cfg.scene),
        clips=cfg.clips,
        frames_per_clip=cfg.frames_per_clip,
        counts=None if cfg.counts is None else list(cfg.counts),
        seed=cfg.seed,
        width=cfg.width,
        height=cfg.height,
        rate=cfg.rate,
    )
    print(draw_preview(footage, cfg.preview) if cfg.preview else ensure(cfg.out, footage, cfg.workers))
    forget_empty_run(Path(HydraConfig.get().runtime.output_dir))


if __name__ == "__main__":
    main()
