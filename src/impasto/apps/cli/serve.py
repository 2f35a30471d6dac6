"""`impasto serve`: the studio, a page and an HTTP API to paint with. Anything heavy is imported
when it runs.
"""

from pathlib import Path
from typing import Annotated

import typer

from impasto.apps.cli.options import Debug
from impasto.apps.report import reporting
from impasto.errors import ImpastoError

__all__ = ["register", "serve"]

LIMITS = "Limits"
_EXTRA = {"fastapi", "gradio", "uvicorn"}


def register(app: typer.Typer) -> None:
    """Add `serve` to `app`."""
    app.command()(serve)


def serve(
    host: Annotated[
        str,
        typer.Option(
            help="The address to listen at: 127.0.0.1 is this machine only, 0.0.0.0 everyone."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0 for any that is free.")
    ] = 7860,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where to compute.")
    ] = "auto",
    network: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The network that paints: of impasto train, or the embedded one."
        ),
    ] = None,
    auth: Annotated[
        str | None,
        typer.Option(
            metavar="USER:PASSWORD",
            envvar="IMPASTO_AUTH",
            help="Ask for them. Others on this machine can read a command line, but not the variable.",
        ),
    ] = None,
    max_upload_mb: Annotated[
        float, typer.Option(help="Of one file, in MB.", rich_help_panel=LIMITS)
    ] = 30,
    max_megapixels: Annotated[
        float, typer.Option(help="Of one picture sent.", rich_help_panel=LIMITS)
    ] = 60,
    max_size: Annotated[
        int, typer.Option(help="Longest side of a picture made, in pixels.", rich_help_panel=LIMITS)
    ] = 2048,
    queue: Annotated[
        int, typer.Option(help="Orders that may wait while one is painted.", rich_help_panel=LIMITS)
    ] = 16,
    time_limit: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Of work at one picture.", rich_help_panel=LIMITS),
    ] = 600,
    debug: Debug = False,
) -> None:
    """Open the studio: a page to paint with in a browser, and an HTTP API. Ctrl-C closes it.

    impasto serve
    impasto serve --port 8000 --device cuda
    IMPASTO_AUTH=ada:secret impasto serve --host 0.0.0.0 --max-size 1024
    curl -F photo=@photo.jpg -F style=starry-night http://127.0.0.1:7860/api/v1/stylize -o out.png
    """
    with reporting(debug):
        user = _user(auth)
        _require_web()
        from impasto.apps.studio import serve as studio
        from impasto.apps.studio.engine import Engine
        from impasto.apps.studio.limits import Limits

        limits = Limits(
            upload_bytes=round(max_upload_mb * 1e6),
            pixels=round(max_megapixels * 1e6),
            size=max_size,
            waiting=queue,
            seconds=time_limit,
        )
        if device not in ("auto", "cpu"):
            from impasto.networks.weights import (
                pick_device,
            )  # brings torch, which the page need not wait for otherwise

            pick_device(device)
        engine = Engine(
            device, limits, **({} if network is None else {"network": network.absolute()})
        )
        studio.serve(engine, host=host, port=port, auth=user)


def _user(auth: str | None) -> tuple[str, str] | None:
    if auth is None:
        return None
    user, colon, password = auth.partition(":")
    if not (user and colon and password):
        raise ImpastoError(
            "--auth takes a user and a password with a colon between them: --auth ada:secret"
        )
    return user, password


def _require_web() -> None:
    from importlib.util import find_spec

    if not all(find_spec(name) for name in sorted(_EXTRA)):
        raise ImpastoError('the studio needs the extra "web": pip install "impasto[web]"')
