"""The studio's HTTP API, the one place that knows FastAPI, and the gate before all it serves.

curl -F photo=@photo.jpg -F style=starry-night -F strength=0.8 http://127.0.0.1:7860/api/v1/stylize
-o out.png
"""

import asyncio
import base64
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import asdict, dataclass
from importlib import metadata
from io import BytesIO
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from impasto.apps.report import one_line, printable
from impasto.apps.studio.engine import BusyError, Engine, Glimpse, Order, PaintingError, Ticket
from impasto.apps.studio.limits import Limits, TooLargeError, Upload, open_upload
from impasto.apps.studio.orders import USUAL, VISITOR
from impasto.errors import ImpastoError
from impasto.pictures.files import recipe_options
from impasto.settings import Settings

__all__ = ["Gate", "api", "form_schema"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_API = "/api/v1"
_HEALTH = f"{_API}/health"
_FIELDS = ("photo", "style", *VISITOR)
_FIELD_BYTES = 10_000  # of a field that is no file, and of all that frames the parts of a form
_RETRY = {"Retry-After": "5"}
_PATIENCE = 120.0  # seconds that a form may take to arrive: it holds one of few places meanwhile


def api(engine: Engine) -> FastAPI:
    """`POST /api/v1/stylize`, `GET /api/v1/styles` and `GET /api/v1/health`, painting with
    `engine`.

    `stylize` takes a form: `photo`, a file; `style`, a file or the name of a style, as often as
    there are styles; and the settings that visitors may set. `GET /api/v1/openapi.json` has all of
    them with their ranges. It answers with the picture as PNG, its recipe inside. Errors are
    `{"error": "one line"}`: 400 for what can be mended, 408 for a form that takes too long to
    arrive, 413 for too much, 429 for too many requests at once, 503 for a full queue, 500 for the
    studio's own. What is worth telling beside the picture is in the header `Impasto-Note`. A client
    that goes away takes its order along.
    """
    # No pages about the API: FastAPI's would fetch their scripts from elsewhere.
    version = metadata.version("impasto")
    app = FastAPI(
        title="impasto",
        version=version,
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{_API}/openapi.json",
    )
    desk, schema = _Desk(engine), form_schema(engine.limits)
    app.add_api_route(
        f"{_API}/stylize",
        desk.stylize,
        methods=["POST"],
        response_model=None,
        summary="A photo in the style of one painting or several",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"multipart/form-data": {"schema": schema}},
            }
        },
        responses={
            200: {"content": {"image/png": {}}, "description": "The picture, its recipe inside"}
        },
        response_class=Response,
    )

    @app.get(f"{_API}/styles", response_model=None)
    def styles() -> list[dict[str, object]]:
        return [asdict(card) | {"refinable": card.refinable} for card in engine.styles()]

    @app.get(_HEALTH, response_model=None)
    def health() -> dict[str, object]:
        return {"status": "ok", "ready": engine.ready, "orders": len(engine)}

    def refused(_request: Request, error: Any) -> Response:
        return _error(400, str(error.detail))

    app.add_exception_handler(400, refused)  # a form that is none
    return app


def form_schema(limits: Limits) -> dict[str, Any]:
    """The form of `stylize` as OpenAPI has it: its files, and the settings of visitors with their
    ranges here.
    """
    known = Settings.model_json_schema()["properties"]
    fields = {
        name: {key: value for key, value in known[name].items() if key not in _OURS}
        for name in VISITOR
    }
    for name, high in limits.highest.items():
        fields[name] |= {"maximum": high}
    for name in VISITOR:
        fields[name] |= {"default": getattr(USUAL, name)}
    # In a form a list is a text with commas between its entries.
    fields["blend"] = {
        "type": "string",
        "description": fields["blend"]["description"],
        "example": "0.7,0.3",
    }
    file = {
        "type": "string",
        "format": "binary",
        "description": "JPEG, PNG, WebP, TIFF, AVIF, GIF or BMP",
    }
    styles = {
        "type": "array",
        "items": {"anyOf": [file, {"type": "string"}]},
        "maxItems": limits.styles,
    }
    styles["description"] = "files, or names of styles"
    return {
        "type": "object",
        "required": ["photo", "style"],
        "properties": {"photo": file, "style": styles, **fields},
    }


_OURS = ("group", "shown", "visitor", "title")  # of a field, but nobody's business over HTTP


class _GoneError(Exception):
    """The client has hung up."""


@dataclass(frozen=True)
class _File:
    """What was sent as one: the name is its sender's and means nothing here."""

    name: str
    data: bytes

    def opened(self, limits: Limits) -> Upload:
        return open_upload(self.data, limits, name=self.name)


class _Desk:
    """Where orders come in over HTTP."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._here = engine, 0

    async def stylize(self, request: Request) -> Response:
        """From a form to a PNG."""
        limits = self._engine.limits
        # Each may hold pictures in memory and on disk before it is an order.
        if self._here > limits.waiting + 1:
            return _error(429, "too many requests at once; try again in a moment", _RETRY)
        self._here += 1
        try:
            return await run_in_threadpool(
                _png, await _last(request, await self._ticket(request, limits))
            )
        except _GoneError:
            return Response(status_code=499)  # nobody reads it
        except TooLargeError as error:
            # What is left of the body is not read: the connection ends with this answer.
            return _error(413, str(error), {"Connection": "close"})
        except TimeoutError:
            return _error(408, "the upload took too long; try again", {"Connection": "close"})
        except BusyError as error:
            return _error(503, str(error), _RETRY)
        except PaintingError as error:
            return _error(500, str(error))
        except ImpastoError as error:
            return _error(400, str(error))
        finally:
            self._here -= 1

    async def _ticket(self, request: Request, limits: Limits) -> Ticket:
        """The order in a request, placed; the bytes that were sent are let go of when this returns."""
        async with asyncio.timeout(_PATIENCE):
            form = await self._form(request, limits)
        return await run_in_threadpool(lambda: self._engine.place(_order(form, limits)))

    async def _form(self, request: Request, limits: Limits) -> list[tuple[str, str | _File]]:
        """The fields in their order; no more is read of the body than all the files allowed can
        have.
        """
        most = (1 + limits.styles) * limits.upload_bytes + _FIELD_BYTES
        too_large = TooLargeError(
            f"this request has more than {most / 1e6:.0f} MB, which is all the studio takes"
        )
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > most:
            raise too_large
        read = 0

        async def receive() -> Message:
            nonlocal read
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise _GoneError
            read += len(message.get("body", b""))
            if read > most:
                raise too_large
            return message

        counted = Request(request.scope, receive)
        files, fields = 1 + limits.styles, len(_FIELDS) + limits.styles
        async with counted.form(
            max_files=files, max_fields=fields, max_part_size=_FIELD_BYTES
        ) as form:
            return [
                (name, _File(value.filename or "", await value.read(limits.upload_bytes + 1)))
                if not isinstance(value, str)
                else (name, value)
                for name, value in form.multi_items()
            ]


def _order(form: Iterable[tuple[str, str | _File]], limits: Limits) -> Order:
    """The order in a form; `ImpastoError` for a field there is not, twice or not as it should be."""
    photos: list[Upload] = []
    styles: list[str | Upload] = []
    others: dict[str, Any] = {}
    for name, value in form:
        if name not in _FIELDS:
            raise ImpastoError(
                f"there is no field {printable(name[:80])!r}; there are: {', '.join(_FIELDS)}"
            )
        if name in others or (name == "photo" and photos):
            raise ImpastoError(f"the field {name} was given twice")
        if name == "photo":
            if isinstance(value, str):
                raise ImpastoError(
                    "photo must be a file, sent whole; neither paths nor addresses are opened here"
                )
            photos.append(value.opened(limits))
        elif name == "style":
            styles.append(value if isinstance(value, str) else value.opened(limits))
        elif isinstance(value, str):
            others[name] = value
        else:
            raise ImpastoError(f"{name} is no file")
    if not photos or not styles:
        raise ImpastoError(f"the field {'style' if photos else 'photo'} is missing")
    return Order(photos[0], tuple(styles), USUAL.but(**others))


async def _last(request: Request, ticket: Ticket) -> Glimpse:
    """The finished picture; `_GoneError` as soon as the client is, and then its order too."""
    ended = asyncio.wrap_future(ticket.result)
    gone = asyncio.create_task(_hang_up(request))
    either: set[asyncio.Future[Any]] = {ended, gone}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            raise _GoneError
        return ended.result()
    finally:
        ended.cancel()
        gone.cancel()
        ticket.abandon()


async def _hang_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _png(glimpse: Glimpse) -> Response:
    assert glimpse.image is not None
    file = BytesIO()
    glimpse.image.save(file, format="PNG", **recipe_options("PNG", glimpse.recipe))
    # A header holds Latin-1 only.
    note = one_line(glimpse.note).encode("ascii", "backslashreplace").decode()
    return Response(
        file.getvalue(), media_type="image/png", headers={"Impasto-Note": note} if note else None
    )


def _error(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": one_line(text)}, status, headers)


class Gate:
    """Before an ASGI application: user and password where `auth` is given, and only `hosts` where
    they are.

    `hosts`: the names by which browsers may call the studio. One that is open to this machine alone
    answers to its own, so that no web page can reach it under a name of its own making (DNS
    rebinding). No page of another site, told by the `Origin` that browsers send along, can have a
    visitor's browser post to the studio, wherever it is open. Health is told to anyone.
    """

    def __init__(
        self,
        app: Application,
        *,
        auth: tuple[str, str] | None = None,
        hosts: frozenset[str] | None = None,
    ) -> None:
        self._app, self._hosts = app, hosts
        self._key = base64.b64encode(":".join(auth).encode()) if auth else None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """ASGI. There is nothing here for a WebSocket."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: MutableMapping[str, Any]) -> Response | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        host, origin, forwarded = (
            headers.get(name, b"").decode("latin-1")
            for name in (b"host", b"origin", b"x-forwarded-host")
        )
        if self._hosts is not None and _hostname(host) not in self._hosts:
            return _error(403, "the studio is open to this machine only")
        # Behind a proxy, which only a studio open to others can have, the name that browsers know
        # may be there.
        own = (
            {host}
            if self._hosts is not None
            else {host, *(name.strip() for name in forwarded.split(","))}
        )
        foreign = bool(origin) and origin.partition("://")[2] not in own - {""}
        if foreign and scope["method"] not in ("GET", "HEAD"):
            return _error(403, "the studio takes nothing from the pages of other sites")
        if self._key is not None and scope["path"] != _HEALTH:
            scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
            if scheme.lower() != b"basic" or not secrets.compare_digest(given.strip(), self._key):
                return _error(
                    401, "user and password, please", {"WWW-Authenticate": 'Basic realm="impasto"'}
                )
        return None


def _hostname(host: str) -> str:
    """`127.0.0.1:7860` -> `127.0.0.1`, `[::1]:7860` -> `::1`."""
    return (
        host.partition("]")[0].lstrip("[")
        if host.startswith("[")
        else host.partition(":")[0].lower()
    )
