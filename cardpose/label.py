"""Label corners in the browser, on this machine."""

import secrets
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from cardpose.common.command_line import Tool, checked
from cardpose.common.errors import InputError

NO_EXTRA = 'cardpose label needs a web server: pip install -e ".[label]"'


@checked
def label(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Dataset folder, as of cardpose subsample.")
    ],
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="Proposes corners; none: no proposals.")
    ] = "packet",
    frames: Annotated[Path | None, typer.Option(metavar="LIST", help="Frames to label, CSV or JSON.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8600,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    lan: Annotated[bool, typer.Option("--lan", help="For a phone in this network, by HTTPS.")] = False,
    cache: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Pictures of videos.", show_default="user cache")
    ] = None,
) -> str:
    """Label the corners of packets in the browser, until Ctrl-C.

        cardpose label my_footage                then open http://127.0.0.1:8600/
        cardpose label my_footage --model outputs/RUN
        cardpose label my_footage --frames suggest.csv
        cardpose label my_footage --lan      for a phone in the same network

    Click the eight corners in the order that the page names, then Enter. The model proposes the corners:
    accept them with Enter or drag the wrong ones; the most uncertain frames come first. ? shows all keys.

    Every change is on the disk before the page shows "Saved". A frame counts as labelled once each corner is visible,
    hidden or absent. annotations.json and videos.csv are updated every ten seconds and at the end.

    With --lan or another host the link holds a token. Whoever has it can see the footage and change labels.

    Returns:
        The progress in words.

    Raises:
        InputError: an argument is invalid, or the folder cannot be read or written.
    """
    try:
        from cardpose.labelling import app, certificate, guard, serve
    except ImportError as error:
        raise InputError(NO_EXTRA) from error
    from platformdirs import user_cache_path

    from cardpose.common.threads import share_cores
    from cardpose.data.labels.store import LabelFolder
    from cardpose.labelling.pictures import Pictures
    from cardpose.labelling.proposals import Proposals
    from cardpose.labelling.worklist import all_frames, read_worklist
    from cardpose.models.released import find_model
    from cardpose.prediction.predictor import Predictor

    share_cores()
    host = "0.0.0.0" if lan and host == "127.0.0.1" else host
    with LabelFolder(folder) as labels:
        wanted = read_worklist(frames, labels) if frames else all_frames(labels)
        pictures = Pictures(labels.root, wanted, Path(cache or user_cache_path("cardpose")))
        proposals = None
        if model != "none":
            proposals = Proposals(Predictor.from_file(find_model(model, exported=True)), pictures, wanted)
        session = app.Session(labels, wanted, pictures, proposals, ordered=bool(frames))
        token, local = secrets.token_urlsafe(16), guard.is_local(host)
        listener = serve.listen(host, port)
        secured = certificate.own_certificate(serve.reachable(host)) if lan else None
        server = serve.server(app.build_app(session, token, local, listener.getsockname()[1]), secured)
        link = serve.link(host, listener, None if local else token, secure=lan)
        serve.announce(f"{session.progress}. Open", link, phone=not local)
        if not local:
            print("Whoever has this link can see the footage and change the labels.", file=sys.stderr)
        with suppress(KeyboardInterrupt):  # the usual end
            server.run(sockets=[listener])
        return session.progress


main = Tool(
    label, finish=print, old_words={"data": "", "data.root": "", "ckpt": "--model", "paths.cache": "--cache"}
)

if __name__ == "__main__":
    main()
