"""The studio's HTTP API, the one place that knows FastAPI.

curl -F photo=@photo.jpg -F style=starry-night -F strength=0.8 http://127.0.0.1:7860/api/v1/stylize
-o out.png
"""

import asyncio
import errno
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import lru_cache
from importlib import metadata
from io import BytesIO
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse

from impasto.apps.report import one_line
from impasto.apps.studio.asgi import entry
from impasto.apps.studio.budget import FullError, Lease
from impasto.apps.studio.engine import BusyError, Engine, Glimpse, PaintingError, StyleCard, Ticket
from impasto.apps.studio.forms import FIELDS, SentFile, form_order, form_schema
from impasto.apps.studio.intake import GoneError, Intake, SlowError
from impasto.apps.studio.jobs import Job, Jobs, NoJobError, UnfinishedError
from impasto.apps.studio.limits import Limits, TooLargeError
from impasto.apps.studio.manual import manual
from impasto.apps.studio.metrics import METRICS_TYPE, Metrics
from impasto.apps.studio.orders import Order
from impasto.apps.studio.uploads import Uploads
from impasto.errors import ImpastoError
from impasto.pictures.recipes import recipe_options

__all__ = ["api", "bare"]

_API = "/api/v1"
_FIELD_BYTES = 10_000  # of a field that is no file, and of all that frames the parts of a form
_RETRY = {"Retry-After": "5"}
_CLOSE = {"Connection": "close"}  # what is left of the body is not read
# The first that an error is an instance of; whether it is a refusal, to be written down as one.
_STATUS: tuple[tuple[type[Exception], int, dict[str, str], bool], ...] = (
    (TooLargeError, 413, _CLOSE, True),
    (SlowError, 408, _CLOSE, True),
    (FullError, 507, _RETRY | _CLOSE, True),
    (BusyError, 503, _RETRY, False),
    (NoJobError, 404, {}, False),
    (UnfinishedError, 409, {}, False),
    (PaintingError, 500, {}, False),
    (ImpastoError, 400, {}, False),
)
_FORMS = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
_QUALITY = {"jpeg": {"quality": 92}, "webp": {"quality": 90, "method": 4}}
_PICTURES = {
    "content": {kind: {} for kind in _FORMS.values()},
    "description": "The picture, its recipe inside",
}


def bare() -> FastAPI:
    """An application with nothing in it, for another server to be mounted in."""
    return FastAPI(docs_url=None, redoc_url=None, openapi_url=None)


def api(
    engine: Engine,
    uploads: Uploads | None = None,
    metrics: Metrics | None = None,
    jobs: Jobs | None = None,
) -> FastAPI:
    """The API painting with `engine`; all of it is in `GET /api/v1/openapi.json` and, for people,
    `GET /api/v1/docs`.

    `stylize` and `jobs` take a form: `photo`, a file; `style`, a file or the name of a style, as
    often as there are styles; and the settings that visitors may set. `stylize` answers with the
    picture, and a client that goes away takes its order along; a job is asked for by its id.
    Errors are `{"error": "one line"}`: 400 for what can be mended, 404 for what is not there, 405
    with `Allow`, 408 for a form that takes too long to arrive, 409 for a picture that is not
    finished, 413 for too much, 503 for a full queue, 507 for full memory or a full disk, 500 for
    the studio's own. What is worth telling beside a picture is in the header `Impasto-Note`.
    `uploads`: what the page sends goes there. `metrics`: served at `/metrics`. `jobs`: where they are
    placed, if others place some as well.
    """
    # No pages about the API of FastAPI's: they would fetch their scripts from elsewhere.
    app = FastAPI(
        title="impasto",
        version=metadata.version("impasto"),
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{_API}/openapi.json",
    )
    desk = _Desk(engine, Jobs(engine) if jobs is None else jobs)
    _orders(app, desk, form_schema(engine.limits))
    _state(app, engine)
    if uploads is not None:
        waiting = uploads

        @app.post("/gradio_api/upload", include_in_schema=False)
        async def upload(request: Request) -> Response:
            return await desk.upload(request, waiting)

    if metrics is not None:
        figures = metrics

        @app.get("/metrics", include_in_schema=False)
        def text() -> Response:
            return Response(figures.text(), media_type=METRICS_TYPE)

    _errors(app)
    schema = app.openapi()
    app.openapi = lambda: schema  # type: ignore[method-assign]
    page = manual(schema)

    @app.get(f"{_API}/docs", include_in_schema=False)
    async def docs() -> Response:
        policy = "default-src 'none'; style-src 'unsafe-inline'"
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": policy})

    for route in _routes(app):  # after the schema is made, which would list each twice
        if "GET" in route.methods and not route.path.endswith("/events"):
            route.methods.add("HEAD")
    return app


def _orders(app: FastAPI, desk: "_Desk", schema: dict[str, Any]) -> None:
    """What makes pictures."""
    body = {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    taken: dict[str, Any] = {"openapi_extra": {"requestBody": body}, "response_model": None}
    picture: dict[str, Any] = {
        "responses": {200: _PICTURES},
        "response_class": Response,
        "response_model": None,
    }
    app.post(
        f"{_API}/stylize",
        summary="A photo in the style of one painting or several: wait, and get the picture",
        **(taken | picture),
    )(desk.stylize)
    app.post(
        f"{_API}/jobs",
        summary="The same as a job: get its id at once",
        status_code=202,
        **taken,
    )(desk.place)
    app.get(f"{_API}/jobs/{{id}}", summary="How far a job is", response_model=None)(desk.status)
    app.get(
        f"{_API}/jobs/{{id}}/events",
        summary="Server-sent events: progress, preview, and at the end done or failed",
        response_class=StreamingResponse,
        response_model=None,
    )(desk.events)
    app.get(
        f"{_API}/jobs/{{id}}/picture",
        summary="The picture as PNG, JPEG or WebP: as the parameter format says, or Accept",
        **picture,
    )(desk.picture)
    app.delete(
        f"{_API}/jobs/{{id}}",
        summary="Cancel a job, or throw its picture away",
        status_code=204,
        response_model=None,
    )(desk.cancel)


def _state(app: FastAPI, engine: Engine) -> None:
    """What there is to know."""

    @app.get(f"{_API}/styles", response_model=None, summary="The styles known by name")
    async def styles(request: Request) -> Response:
        body, tag = _listed(tuple(engine.styles()))
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers={"ETag": tag})
        return Response(body, media_type="application/json", headers={"ETag": tag})

    @app.get(f"{_API}/health", response_model=None, summary="Whether it is up")
    async def health() -> dict[str, object]:
        return {"status": "ok", "ready": engine.ready, "orders": len(engine)}

    @app.get(f"{_API}/health/live", response_model=None, summary="Whether its worker is alive")
    async def live() -> Response:
        return _health(engine.working, "the worker has ended; restart the studio")

    @app.get(f"{_API}/health/ready", response_model=None, summary="Whether it can paint at once")
    async def ready() -> Response:
        return _health(engine.ready and engine.working, "the studio is loading what it paints with")


@lru_cache(maxsize=4)
def _listed(cards: tuple[StyleCard, ...]) -> tuple[bytes, str]:
    """Styles as JSON, and its tag: made again where there are others, or they are changed."""
    told = [asdict(card) | {"refinable": card.refinable} for card in cards]
    body = json.dumps(told, ensure_ascii=False).encode()
    return body, f'"{hashlib.sha256(body).hexdigest()[:16]}"'


def _health(good: bool, words: str) -> Response:
    return JSONResponse({"status": "ok"}) if good else _error(503, words, _RETRY)


def _errors(app: FastAPI) -> None:
    """Every error as `{"error": "one line"}`."""

    async def known(request: Request, error: Any) -> Response:
        _, status, headers, refused = next(each for each in _STATUS if isinstance(error, each[0]))
        if refused:
            entry(request.scope).refused = str(error)
        return _error(status, str(error), headers)

    async def general(request: Request, error: Any) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = _allowed(app, request.url.path)
        words = {404: "there is nothing here", 405: f"this takes {headers.get('Allow')} only"}
        return _error(error.status_code, words.get(error.status_code, str(error.detail)), headers)

    async def gone(request: Request, _error: Exception) -> Response:
        entry(request.scope).refused = "hung up while sending"
        return Response(status_code=499)  # nobody reads it

    async def full(request: Request, error: Any) -> Response:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise error
        entry(request.scope).refused = "the disk is full"
        return _error(507, "the studio's disk is full; try again later", _RETRY | _CLOSE)

    async def wrong(_request: Request, error: Any) -> Response:
        first = error.errors()[0]
        return _error(400, f"{first['loc'][-1]}: {first['msg']}")

    app.add_exception_handler(ImpastoError, known)
    app.add_exception_handler(HTTPException.__mro__[1], general)  # Starlette's
    app.add_exception_handler(GoneError, gone)
    app.add_exception_handler(OSError, full)
    app.add_exception_handler(RequestValidationError, wrong)


def _routes(app: FastAPI) -> list[Any]:
    """Those that have methods."""
    return [route for route in app.routes if getattr(route, "methods", None)]


def _allowed(app: FastAPI, path: str) -> str:
    found = [route.methods for route in _routes(app) if route.path_regex.match(path)]
    return ", ".join(sorted(set().union(*found)))


class _Desk:
    """Where orders come in over HTTP."""

    def __init__(self, engine: Engine, jobs: Jobs) -> None:
        self._engine, self._jobs = engine, jobs

    async def stylize(self, request: Request) -> Response:
        """From a form to a PNG."""
        order = await self._order(request)
        ticket = await run_in_threadpool(self._engine.place, order)
        del order  # the engine has it, until it is painted
        return await run_in_threadpool(_picture, await _last(request, ticket), "png")

    async def place(self, request: Request) -> Response:
        """From a form to a job."""
        order = await self._order(request)
        job = await run_in_threadpool(self._jobs.place, order)
        here = f"{entry(request.scope).root}{_API}/jobs/{job.id}"
        told = {"id": job.id, "events": f"{here}/events", "picture": f"{here}/picture"}
        return JSONResponse(told, 202, {"Location": here})

    async def status(self, id: str) -> Response:
        """Where a job stands."""
        return JSONResponse(await run_in_threadpool(self._jobs.of(id).status))

    async def events(self, id: str) -> Response:
        """A job as it goes on."""
        told = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(
            self._jobs.of(id).events(), media_type="text/event-stream", headers=told
        )

    async def picture(self, request: Request, id: str, format: str = "") -> Response:
        """What a job made."""
        form = _format(format, request.headers.get("accept", ""))
        job: Job = self._jobs.of(id)
        answer = await run_in_threadpool(_picture, job.picture(), form)
        job.fetched = job.fetched or request.method == "GET"
        return answer

    async def cancel(self, id: str) -> Response:
        """No more of a job."""
        await run_in_threadpool(self._jobs.cancel, id)
        return Response(status_code=204)

    async def upload(self, request: Request, uploads: Uploads) -> Response:
        """What a browser sends for the page; where it is, as Gradio has it."""
        limits, lease = self._engine.limits, self._engine.budget.lease()
        most = limits.upload_bytes + _FIELD_BYTES
        async with _form(request, most, lease, files=limits.styles, fields=1) as form:
            files = [
                (value.filename or "", value.file)
                for _, value in form.multi_items()
                if not isinstance(value, str)
            ]
            if not files:
                raise ImpastoError("there is no file in this form")
            kept = await run_in_threadpool(uploads.keep, files, lease)
        return JSONResponse([str(path) for path in kept])

    async def _order(self, request: Request) -> Order:
        """The order in a request; the bytes that were sent are let go of when this returns."""
        limits, lease = self._engine.limits, self._engine.budget.lease()
        most = (1 + limits.styles) * limits.upload_bytes + _FIELD_BYTES
        count = {"files": 1 + limits.styles, "fields": len(FIELDS) + limits.styles}
        async with _form(request, most, lease, **count) as form:
            sent = [
                (name, value if isinstance(value, str) else await _sent(value, limits))
                for name, value in form.multi_items()
            ]
        make: Callable[..., Order] = form_order
        try:
            return await run_in_threadpool(make, sent, limits, self._engine.budget)
        finally:
            lease.release()


async def _sent(value: Any, limits: Limits) -> SentFile:
    return SentFile(value.filename or "", await value.read(limits.upload_bytes + 1))


@asynccontextmanager
async def _form(
    request: Request, most: int, lease: Lease, *, files: int, fields: int
) -> AsyncIterator[Any]:
    """The form in a request, all of it come within the limits; see `Intake`."""
    intake = Intake(request.scope, request.receive, most, lease)
    counted = Request(request.scope, intake)
    async with counted.form(max_files=files, max_fields=fields, max_part_size=_FIELD_BYTES) as form:
        intake.check_end()
        yield form


async def _last(request: Request, ticket: Ticket) -> Glimpse:
    """The finished picture; `GoneError` as soon as the client is, and then its order too."""
    ended = asyncio.wrap_future(ticket.result)
    gone = asyncio.create_task(_hang_up(request))
    either: set[asyncio.Future[Any]] = {ended, gone}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            raise GoneError
        return ended.result()
    finally:
        ended.cancel()
        gone.cancel()
        ticket.abandon()


async def _hang_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _format(asked: str, accepted: str) -> str:
    """`png`, `jpeg` or `webp`: what was asked for, else the first accepted, else PNG."""
    if asked:
        form = {"jpg": "jpeg"}.get(asked.lower(), asked.lower())
        if form not in _FORMS:
            raise ImpastoError(f"format must be {', '.join(_FORMS)}, not {one_line(asked[:40])}")
        return form
    kinds = [each.partition(";")[0].strip().lower() for each in accepted.split(",")]
    return next((kind[6:] for kind in kinds if kind in _FORMS.values()), "png")


def _picture(glimpse: Glimpse, form: str) -> Response:
    assert glimpse.image is not None
    image, kind, file = glimpse.image, form.upper(), BytesIO()
    paper = {"dpi": (glimpse.dpi, glimpse.dpi)} if glimpse.dpi and form != "webp" else {}
    if form == "jpeg" and image.mode != "RGB":
        image = image.convert("RGB")
    image.save(
        file,
        kind,
        **recipe_options(kind, glimpse.recipe, image.info.get("exif", b"")),
        **_QUALITY.get(form, {}),
        **paper,
    )
    # A header holds Latin-1 only.
    note = one_line(glimpse.note).encode("ascii", "backslashreplace").decode()
    return Response(
        file.getvalue(), media_type=_FORMS[form], headers={"Impasto-Note": note} if note else None
    )


def _error(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": one_line(text)}, status, headers)
