"""What the page asks for, over HTTP.

    GET  /                            the page
    GET  /page/NAME                   its parts
    GET  /api/session                 corners, videos, frames and how far each is
    GET  /api/progress                what the model has seen so far
    GET  /api/frames/N                marks, revision, proposal and check of frame N
    GET  /api/frames/N/previous       marks of the nearest frame before that has a label, in the same video
    PUT  /api/frames/N                {"marks": [...], "revision": "..."}
    PUT  /api/videos/N                {"cards": 17, "before": null}
    GET  /pictures/N                  the picture of frame N

Frames and videos are asked for by their number in the session, never by a path. What is wrong is said as {"error": one
line}: 400 a bad request, 404 no such frame, 409 changed elsewhere meanwhile, 413 too large, 507 not on the disk.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from cardpose.common.errors import InputError
from cardpose.common.packet import CORNERS, EDGES, FrameId
from cardpose.data.labels.marks import Marks, parse_marks, revision, state
from cardpose.data.labels.store import ConflictError, LabelFolder
from cardpose.data.labels.validate import parse_cards
from cardpose.labelling.boxcheck import check_box
from cardpose.labelling.guard import MAX_BODY, Guard, refusal
from cardpose.labelling.pictures import Pictures
from cardpose.labelling.proposals import Proposals

FOLD_SECONDS = 10.0
"""How far annotations.json may be behind while the page is open; the journal is never behind."""
_PAGE = files("cardpose.labelling") / "page"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass
class Session:
    """What is labelled.

    Args:
        folder: holds the labels.
        frames: in the order of labelling; a frame's number is its place here.
        pictures: of the frames.
        proposals: of a model, where there is one.
        ordered: whether the order of `frames` is asked for and the model's doubt does not change it.
        problem: why the tables could not be written of late, or "".
    """

    folder: LabelFolder
    frames: list[FrameId]
    pictures: Pictures
    proposals: Proposals | None = None
    ordered: bool = False
    problem: str = field(default="", init=False)

    @property
    def progress(self) -> str:
        """How far the labels are, in words."""
        done = sum(state(self.folder.marks(key)) == "done" for key in self.frames)
        return f"{done} of {len(self.frames)} frames labelled"

    def size(self, key: FrameId) -> tuple[int, int]:
        """Of a frame, in pixels."""
        return self.folder.size(key) or self.pictures.size(key)

    def fold(self) -> None:
        """Write the tables; what hinders it is the `problem`."""
        try:
            self.folder.fold()
            self.problem = ""
        except InputError as error:
            self.problem = str(error)


def build_app(session: Session, token: str, local: bool, port: int) -> Starlette:
    """The server's application; see `Guard` for the last three."""
    routes = [
        Route("/", lambda request: HTMLResponse(_index(token))),
        Route("/page/{name}", _part),
        Route("/api/session", _session),
        Route("/api/progress", _progress),
        Route("/api/frames/{number:int}", _frame),
        Route("/api/frames/{number:int}", _save_frame, methods=["PUT"]),
        Route("/api/frames/{number:int}/previous", _previous),
        Route("/api/videos/{number:int}", _save_video, methods=["PUT"]),
        Route("/pictures/{number:int}", _picture),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, token=token, local=local, port=port)],
        exception_handlers={HTTPException: _say, InputError: _say_input, ConflictError: _say_conflict},
        lifespan=_lifespan,
    )
    app.state.session = session
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    """Tables written every few seconds and at the end; the model at work between."""
    session: Session = app.state.session

    async def keep_folding() -> None:
        while True:
            await asyncio.sleep(FOLD_SECONDS)
            await run_in_threadpool(session.fold)

    if session.proposals:
        session.proposals.start()
    folding = asyncio.create_task(keep_folding())
    try:
        yield
    finally:
        folding.cancel()
        if session.proposals:
            session.proposals.stop()
        session.fold()


def _index(token: str) -> str:
    return (_PAGE / "index.html").read_text(encoding="utf-8").replace("{{token}}", token)


def _part(request: Request) -> Response:
    name = request.path_params["name"]
    part = next((item for item in _PAGE.iterdir() if item.name == name and item.name != "index.html"), None)
    if part is None:
        raise HTTPException(404, "the page has no such part")
    return Response(part.read_bytes(), media_type=_TYPES[f".{name.rpartition('.')[2]}"])


def _session(request: Request) -> Response:
    session: Session = request.app.state.session
    videos = session.folder.videos
    number = {video.file: i for i, video in enumerate(videos)}
    return JSONResponse(
        {
            "corners": CORNERS,
            "edges": EDGES,
            "videos": [{"file": video.file, "cards": video.cards} for video in videos],
            "frames": [
                [number[file], index, state(session.folder.marks((file, index)))]
                for file, index in session.frames
            ],
            "model": session.proposals is not None,
            "ordered": session.ordered,
            "problem": session.problem,
        }
    )


def _progress(request: Request) -> Response:
    session: Session = request.app.state.session
    doubts = session.proposals.doubts() if session.proposals else {}
    return JSONResponse(
        {
            "doubts": [round(doubts[key], 4) if key in doubts else None for key in session.frames],
            "finished": session.proposals is None or session.proposals.finished,
            "problem": session.problem,
        }
    )


def _frame(request: Request) -> Response:
    session, key = _asked(request)
    marks, size = session.folder.marks(key), session.size(key)
    proposal = session.proposals.of(key) if session.proposals else None
    answer = _described(marks, size) | {
        "marks": marks,
        "width": size[0],
        "height": size[1],
        "proposal": proposal and proposal.marks,
        "doubt": proposal and proposal.doubt,
    }
    return JSONResponse(answer)


def _described(marks: Marks, size: tuple[int, int]) -> dict[str, Any]:
    """What the page shows of a frame's marks beside themselves."""
    check = check_box(marks, *size)
    return {
        "revision": revision(marks),
        "state": state(marks),
        "box": None if check.box is None else check.box.round(2).tolist(),
        "hidden": check.hidden.tolist(),
        "blamed": check.blamed,
        "warning": check.words,
    }


async def _save_frame(request: Request) -> Response:
    session, key = _asked(request)
    said = await _json(request, "marks", "revision")

    def save() -> dict[str, Any]:
        size = session.size(key)
        marks = parse_marks(said["marks"], *size, f"{key[0]} frame {key[1]}")
        _keep(lambda: session.folder.save_marks(key, marks, str(said["revision"]), size))
        return _described(marks, size) | {"problem": session.problem}

    return JSONResponse(await run_in_threadpool(save))


def _previous(request: Request) -> Response:
    session, (video, index) = _asked(request)
    before = [i for file, i in session.frames if file == video and i < index]
    for other in sorted(before, reverse=True):
        marks = session.folder.marks((video, other))
        if state(marks) != "empty":
            return JSONResponse({"marks": marks, "frame_index": other})
    raise HTTPException(404, "no frame before this one has corners")


async def _save_video(request: Request) -> Response:
    session: Session = request.app.state.session
    said = await _json(request, "cards", "before")
    videos, number = session.folder.videos, request.path_params["number"]
    if number >= len(videos):
        raise HTTPException(404, f"there is no video {number}")
    file = videos[number].file
    cards, before = (parse_cards(said[name], name) for name in ("cards", "before"))
    await run_in_threadpool(_keep, lambda: session.folder.save_cards(file, cards, before))
    return JSONResponse({"cards": cards, "problem": session.problem})


def _picture(request: Request) -> Response:
    session, key = _asked(request)
    try:
        path = session.pictures.file(key)
    except InputError as error:
        raise HTTPException(404, str(error)) from error
    return FileResponse(path, headers={"cache-control": "private, max-age=600"})


def _asked(request: Request) -> tuple[Session, FrameId]:
    """The session, and the frame of a request's number."""
    session: Session = request.app.state.session
    number = request.path_params["number"]
    if number >= len(session.frames):
        raise HTTPException(404, f"there is no frame {number}")
    return session, session.frames[number]


async def _json(request: Request, *names: str) -> dict[str, Any]:
    """The request's object with these keys."""
    body = bytearray()
    async for chunk in request.stream():  # its length need not have been told
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"a request has at most {MAX_BODY} bytes")
    try:
        said = json.loads(bytes(body))
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the request is not JSON") from error
    if not isinstance(said, dict) or not all(name in said for name in names):
        raise HTTPException(400, f"the request wants an object with {' and '.join(names)}")
    return said


def _keep(save: Any) -> None:
    """Save, and tell a disk that does not take it from a request that is wrong."""
    try:
        save()
    except InputError as error:
        raise HTTPException(507, f"not saved: {error}") from error


def _say(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusal(error.status_code, error.detail)


def _say_input(request: Request, error: Exception) -> Response:
    return refusal(400, str(error))


def _say_conflict(request: Request, error: Exception) -> Response:
    return refusal(409, str(error))
