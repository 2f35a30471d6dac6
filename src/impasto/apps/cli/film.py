"""`impasto film`: a film in the style of a painting."""

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.apps.cli.batch import Ray, Workers
from impasto.apps.cli.options import Debug, Quiet, SettingsCommand, asks
from impasto.apps.report import reporting
from impasto.errors import OptionError
from impasto.settings import OPTIONS

__all__ = ["film", "register"]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(cls=SettingsCommand)(film)


@asks(*OPTIONS, forms=("size",))
def film(
    *,
    source: Annotated[
        Path,
        typer.Argument(metavar="FILM", help="A video, a GIF or WebP, or a folder of frames."),
    ],
    styles: Annotated[
        list[str],
        typer.Argument(metavar="STYLE", help="One painting or several, or names of styles."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The film to write: .mp4 .mov .mkv .webm .gif or .webp; without suffix a folder of frames.",
        ),
    ],
    given: dict[str, Any],
    between: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            show_default=False,
            help="Steps of the optimiser for a frame that begins at the one before; a quarter if not given.",
        ),
    ] = None,
    apart: Annotated[
        bool,
        typer.Option("--apart", help="Paint every frame by itself, to see what that is like."),
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            metavar="FPS",
            show_default=False,
            help="Frames a second, where FILM is a folder; 25 if not given.",
        ),
    ] = None,
    ray: Ray = None,
    workers: Workers = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Paint a film so that its frames agree: no flicker, strokes that move with what they paint.

    Sound and times are kept. Ctrl-C stops; the same command goes on from the frames that are done.
    With --ray, scenes are shared out: what lies between two cuts is one worker's. Films need the
    extra film.

    impasto film clip.mp4 painting.jpg -o out.mp4 --method arbitrary
    impasto film clip.mp4 waves -o out.webm --size 960 --method arbitrary
    impasto film clip.mp4 waves -o out.mp4 --size original --method arbitrary
    impasto film frames painting.jpg -o painted --between 12
    impasto film clip.mp4 waves -o out.mp4 --method arbitrary --ray local --workers 2
    """
    with reporting(debug):
        from impasto.apps.cli.filming import paint_film
        from impasto.apps.film import FilmWork
        from impasto.settings import Settings

        if workers is not None and ray is None:
            raise OptionError("`workers` are Ray's; add `ray=local`")
        exact = None if rate is None else Fraction(rate).limit_denominator(1001)
        given |= _sized(source, exact, given.get("size"))
        work = FilmWork(source, styles, output, Settings(**given), between, apart, exact)
        paint_film(work, ray=ray, workers=workers, quiet=quiet)


def _sized(source: Path, rate: Fraction | None, asked: str | None) -> dict[str, int]:
    """The setting `size` for one that depends on the film's own."""
    from impasto.film.opening import open_film
    from impasto.pictures.sources import long_side
    from impasto.sizes import size as size_of

    if asked is None or not size_of(asked).relative:
        return {}
    first = next(iter(open_film(source, rate).frames()))
    return long_side(first.pixels, asked)[0]
