"""Label corners in the browser, on this machine.

python -m cardpose.label data=my_footage
python -m cardpose.label data=my_footage ckpt=outputs/<run>/checkpoints/best.ckpt
"""

import secrets
import sys
from contextlib import suppress
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cardpose.common.errors import InputError
from cardpose.common.hydra_entry import entry, forget_empty_run, require
from cardpose.common.threads import share_cores
from cardpose.data.labels.store import LabelFolder
from cardpose.labelling.pictures import Pictures
from cardpose.labelling.proposals import Proposals
from cardpose.labelling.worklist import all_frames, read_worklist
from cardpose.prediction.predictor import load

NO_EXTRA = 'cardpose.label needs a web server: pip install -e ".[label]"'


def label(cfg: DictConfig) -> str:
    """Serve the page for the folder `cfg.data` until Ctrl-C; every change is on the disk when the page says so.

    Returns:
        How far the labels are, in words.

    Raises:
        InputError: what the user can mend.
    """
    check(cfg)
    share_cores()
    try:
        from cardpose.labelling import app, guard, serve
    except ImportError as error:
        raise InputError(NO_EXTRA) from error
    with LabelFolder(cfg.data.root) as folder:
        frames = read_worklist(Path(cfg.frames), folder) if cfg.frames else all_frames(folder)
        pictures = Pictures(folder.root, frames, Path(cfg.paths.cache))
        proposals = None
        if cfg.ckpt:
            proposals = Proposals(load(cfg.ckpt), pictures, frames)
        session = app.Session(folder, frames, pictures, proposals, ordered=bool(cfg.frames))
        token, local = secrets.token_urlsafe(16), guard.is_local(cfg.host)
        listener = serve.listen(cfg.host, cfg.port)
        server = serve.server(app.build_app(session, token, local, listener.getsockname()[1]))
        print(
            f"{session.progress}. Open", serve.link(cfg.host, listener, None if local else token), flush=True
        )
        if not local:
            print("Whoever has this link can see the footage and change the labels.", file=sys.stderr)
        with suppress(KeyboardInterrupt):  # the usual end
            server.run(sockets=[listener])
        return session.progress


def check(cfg: DictConfig) -> None:
    """Refuse what cannot work.

    Raises:
        InputError: a key is missing or wrong.
    """
    require(cfg, {"data": "<dataset folder>"})
    if not isinstance(cfg.port, int) or not 0 <= cfg.port <= 65535:
        raise InputError(f"port={cfg.port}: choose a whole number up to 65535")


@entry("label", {"data": "data.root"})
def main(cfg: DictConfig) -> None:
    done = label(cfg)
    print(f"\n{cfg.data.root}: {done}")
    forget_empty_run(Path(HydraConfig.get().runtime.output_dir))


if __name__ == "__main__":
    main()
