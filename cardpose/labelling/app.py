"""The HTTP interface of the labelling page.

    GET  /                            the page
    GET  /page/NAME                   its files
    GET  /api/session                 corners, videos, frames and their states
    GET  /api/progress                uncertainty of the frames that the model has predicted so far
    GET  /api/frames/N                marks, revision, proposal and check of frame N
    GET  /api/frames/N/previous       marks of the nearest earlier frame of the video that has any
    PUT  /api/frames/N                {"marks": [...], "revision": "..."}
    PUT  /api/videos/N                {"cards": 17, "before": null}
    GET  /pictures/N                  the picture of frame N

Frames and videos are addressed by their number in the session, never by a path. An error is {"error": one line} with
status 400 (invalid), 404 (unknown frame), 409 (changed by another client), 413 (too large) or 507 (not written).
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
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from cardpose.common.errors import InputError
from cardpose.common.packet import CORNERS, EDGES, FrameId
from cardpose.data.labels.marks import Marks, parse_marks, revision, state
from cardpose.data.labels.store import ConflictError, LabelFolder
from cardpose.data.labels.validate import parse_cards
from cardpose.labelling.checks.boxes import check_box
from cardpose.labelling.guard import MAX_BODY, Guard, refusal
from cardpose.labelling.pictures import Pictures
from cardpose.labelling.proposals import Proposals

FOLD_SECONDS = 10.0
"""Interval at which annotations.json is updated while the page is open; the journal is always current."""
_PAGE = files("cardpose.labelling") / "page"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass
class Session:
    """The state of a labelling session.

    Args:
        frames: in the order of labelling; a frame's number is its index here.
        proposals: of a model, if one is used.
        ordered: whether to keep the order of `frames` instead of sorting by the model's uncertainty.
        problem: why the last write of the tables failed, or "".
    """

    folder: LabelFolder
    frames: list[FrameId]
    pictures: Pictures
    proposals: Proposals | None = None
    ordered: bool = False
    problem: str = field(default="", init=False)

    @property
    def progress(self) -> str:
        """For example "3 of 20 frames labelled"."""
        done = sum(state(self.folder.marks(key)) == "done" for key in self.frames)
        return f"{done} of {len(self.frames)} frames labelled"

    def size(self, key: FrameId) -> tuple[int, int]:
        """Width and height of a frame in pixels."""
        return self.folder.size(key) or self.pictures.size(key)

    def fold(self) -> None:
        """Write the journal into the tables; a failure becomes `problem`."""
        try:
            self.folder.fold()
            self.problem = ""
        except InputError as error:
            self.problem = str(error)


def build_app(session: Session, token: str, local: bool, port: int) -> Starlette:
    """The ASGI application; `token`, `local` and `port` as of `Guard`."""
    routes = [
        Route("/", lambda request: HTMLResponse(_index(token))),
        Route("/page/{name}", _page_file),
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
        exception_handlers={
            HTTPException: _http_error,
            InputError: _input_error,
            ConflictError: _conflict,
            ClientDisconnect: _input_error,
        },
        lifespan=_lifespan,
    )
    app.state.session = session
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    """Write the tables every few seconds and at the end, and run the model meanwhile."""
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


def _page_file(request: Request) -> Response:
    name = request.path_params["name"]
    file = next((item for item in _PAGE.iterdir() if item.name == name and item.name != "index.html"), None)
    if file is None:
        raise HTTPException(404, "the page has no such file")
    return Response(file.read_bytes(), media_type=_TYPES[f".{name.rpartition('.')[2]}"])


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
    known = session.proposals.uncertainties() if session.proposals else {}
    return JSONResponse(
        {
            "uncertainties": [round(known[key], 4) if key in known else None for key in session.frames],
            "finished": session.proposals is None or session.proposals.finished,
            "problem": session.problem,
        }
    )


def _frame(request: Request) -> Response:
    session, key = _requested(request)
    marks, size = session.folder.marks(key), session.size(key)
    proposal = session.proposals.of(key) if session.proposals else None
    answer = _describe(marks, size) | {
        "marks": marks,
        "width": size[0],
        "height": size[1],
        "proposal": proposal and proposal.marks,
        "uncertainty": proposal and proposal.uncertainty,
    }
    return JSONResponse(answer)


def _describe(marks: Marks, size: tuple[int, int]) -> dict[str, Any]:
    """Everything about a frame's marks that the server derives from them."""
    check = check_box(marks, *size)
    return {
        "revision": revision(marks),
        "state": state(marks),
        "box": None if check.box is None else check.box.round(2).tolist(),
        "hidden": check.hidden.tolist(),
        "outlier": check.outlier,
        "warning": check.warning,
    }


async def _save_frame(request: Request) -> Response:
    session, key = _requested(request)
    body = await _json(request, "marks", "revision")

    def save() -> dict[str, Any]:
        size = session.size(key)
        marks = parse_marks(body["marks"], *size, f"{key[0]} frame {key[1]}")
        _save(lambda: session.folder.save_marks(key, marks, str(body["revision"]), size))
        return _describe(marks, size) | {"problem": session.problem}

    return JSONResponse(await run_in_threadpool(save))


def _previous(request: Request) -> Response:
    session, (video, index) = _requested(request)
    before = [i for file, i in session.frames if file == video and i < index]
    for other in sorted(before, reverse=True):
        marks = session.folder.marks((video, other))
        if state(marks) != "empty":
            return JSONResponse({"marks": marks, "frame_index": other})
    raise HTTPException(404, "no earlier frame has corners")


async def _save_video(request: Request) -> Response:
    session: Session = request.app.state.session
    body = await _json(request, "cards", "before")
    videos, number = session.folder.videos, request.path_params["number"]
    if number >= len(videos):
        raise HTTPException(404, f"there is no video {number}")
    file = videos[number].file
    cards, before = (parse_cards(body[name], name) for name in ("cards", "before"))
    await run_in_threadpool(_save, lambda: session.folder.save_cards(file, cards, before))
    return JSONResponse({"cards": cards, "problem": session.problem})


def _picture(request: Request) -> Response:
    session, key = _requested(request)
    try:
        path = session.pictures.file(key)
    except InputError as error:
        raise HTTPException(404, str(error)) from error
    return FileResponse(path, headers={"cache-control": "private, max-age=600"})


def _requested(request: Request) -> tuple[Session, FrameId]:
    """The session and the frame that a request addresses."""
    session: Session = request.app.state.session
    number = request.path_params["number"]
    if number >= len(session.frames):
        raise HTTPException(404, f"there is no frame {number}")
    return session, session.frames[number]


async def _json(request: Request, *names: str) -> dict[str, Any]:
    """The JSON object of a request, which must have the keys `names`."""
    body = bytearray()
    async for chunk in request.stream():  # content-length may be missing
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"a request has at most {MAX_BODY} bytes")
    try:
        content = json.loads(bytes(body))
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the request is not JSON") from error
    if not isinstance(content, dict) or not all(name in content for name in names):
        raise HTTPException(400, f"the request must be an object with {' and '.join(names)}")
    return content


def _save(save: Any) -> None:
    """Save; a failure to write is status 507, not an invalid request."""
    try:
        save()
    except InputError as error:
        raise HTTPException(507, f"not saved: {error}") from error


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusal(error.status_code, error.detail)


def _input_error(request: Request, error: Exception) -> Response:
    return refusal(400, str(error) or "the request breaks off")


def _conflict(request: Request, error: Exception) -> Response:
    return refusal(409, str(error))
