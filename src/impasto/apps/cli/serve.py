"""`impasto serve`: the studio, a page and an HTTP API to paint with. Anything heavy is imported
when it runs.
"""

from functools import partial
from ipaddress import ip_network
from math import isfinite
from pathlib import Path
from typing import Annotated

import typer

from impasto.apps.cli.options import Debug
from impasto.apps.report import reporting
from impasto.errors import ImpastoError

__all__ = ["register", "serve"]

_limit = partial(typer.Option, rich_help_panel="Limits")
_for_others = partial(typer.Option, rich_help_panel="For others")
_EXTRA = {"fastapi", "gradio", "prometheus_client", "uvicorn"}


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
    allowed_host: Annotated[
        list[str] | None,
        _for_others(
            metavar="NAME",
            help="A name by which browsers may call it, beside this machine's own; * is any.",
        ),
    ] = None,
    root_path: Annotated[
        str,
        _for_others(metavar="/PATH", help="What stands before every path where a proxy shows it."),
    ] = "",
    proxy: Annotated[
        str,
        _for_others(
            metavar="ADDRESS", help="Of a proxy, whose X-Forwarded-For and -Proto are believed."
        ),
    ] = "127.0.0.1",
    embed_in: Annotated[
        list[str] | None,
        _for_others(
            metavar="SITE", help="A site whose pages may show it in a frame: https://example.org."
        ),
    ] = None,
    rate_limit: Annotated[
        float,
        _for_others(min=0, help="Requests a minute from one client; 0 is any number."),
    ] = 1200,
    access_log: Annotated[
        bool,
        _for_others(
            "--access-log",
            help="A line on stderr for every request, not only for those turned away.",
        ),
    ] = False,
    max_upload_mb: Annotated[float, _limit(help="Of one file, in MB.")] = 30,
    max_megapixels: Annotated[float, _limit(help="Of one picture sent.")] = 60,
    max_size: Annotated[
        int, _limit(min=32, max=16384, help="Longest side of a picture made, in pixels.")
    ] = 2048,
    max_poster: Annotated[
        int,
        _limit(
            min=0,
            max=65536,
            metavar="PX",
            help="Longest side of a poster made in the background; 0: none.",
        ),
    ] = 4096,
    max_memory_mb: Annotated[
        float,
        _limit(help="Of all that visitors have here: uploads, paintings, pictures made."),
    ] = 1000,
    queue: Annotated[int, _limit(min=0, help="Orders that may wait while one is painted.")] = 16,
    time_limit: Annotated[
        float,
        _limit(min=1, metavar="SECONDS", help="Of work at one picture."),
    ] = 600,
    background_steps: Annotated[
        int,
        _limit(
            min=0,
            metavar="STEPS",
            help="By which a picture is refined by itself once painted, while nobody waits; 0: none.",
        ),
    ] = 60,
    debug: Debug = False,
) -> None:
    """Open the studio: a page to paint with in a browser, and an HTTP API. Ctrl-C closes it.

    impasto serve
    impasto serve --port 8000 --device cuda
    IMPASTO_AUTH=ada:secret impasto serve --host 0.0.0.0 --max-size 1024
    impasto serve --root-path /paint --allowed-host www.example.org
    curl -F photo=@photo.jpg -F style=starry-night http://127.0.0.1:7860/api/v1/stylize -o out.png
    """
    with reporting(debug):
        user = _user(auth)
        _require_web()
        from impasto.apps.studio import serve as studio
        from impasto.apps.studio.engine import Engine
        from impasto.apps.studio.gate import access
        from impasto.apps.studio.limits import Limits

        _check_addresses(proxy)
        limits = Limits(
            upload_bytes=_millions("--max-upload-mb", max_upload_mb),
            pixels=_millions("--max-megapixels", max_megapixels),
            memory=_millions("--max-memory-mb", max_memory_mb),
            size=max_size,
            poster=max_poster,
            waiting=queue,
            seconds=time_limit,
            background=background_steps,
        )
        entrance = access(
            host,
            auth=user,
            allowed=tuple(allowed_host or ()),
            root_path=root_path.rstrip("/"),
            frames=tuple(embed_in or ()),
            rate=rate_limit,
        )
        if device not in ("auto", "cpu"):
            from impasto.networks.weights import (
                pick_device,
            )  # brings torch, which the page need not wait for otherwise

            pick_device(device)
        engine = Engine(
            device, limits, **({} if network is None else {"network": network.absolute()})
        )
        studio.serve(
            engine,
            host=host,
            port=port,
            entrance=entrance,
            proxy=proxy,
            requests=access_log,
            tracebacks=debug,
        )


def _millions(flag: str, number: float) -> int:
    if not isfinite(number) or not 0 < number <= 1e9:
        raise ImpastoError(f"{flag} takes a number above 0, not {number:g}")
    return max(1, round(number * 1e6))


def _check_addresses(proxy: str) -> None:
    for each in proxy.split(","):
        try:
            if each.strip() != "*":
                ip_network(each.strip(), strict=False)
        except ValueError:
            raise ImpastoError(
                f"--proxy takes addresses with commas between them, such as 10.0.0.2, not {each!r}"
            ) from None


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
