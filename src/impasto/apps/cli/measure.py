"""`impasto score`: pictures in numbers, ranked."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import typer

from impasto.apps.cli.options import Debug, Quiet
from impasto.apps.report import one_line, printable, reporting, say
from impasto.errors import ImpastoError
from impasto.pictures.writing import FORMATS

if TYPE_CHECKING:
    from impasto.apps.progress import Display
    from impasto.pictures.image import Picture

__all__ = ["Scored", "judge", "measure", "register", "score"]

T = TypeVar("T")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(score)


def _explain(asked: bool) -> None:
    if asked:
        from impasto.analysis.metrics import METRICS

        rows = [(each.name, each.better, each.range, each.meaning, each.source) for each in METRICS]
        print(_table([("metric", "better", "range", "meaning", "source"), *rows], left=5))
        raise typer.Exit


def score(
    photo: Annotated[
        str, typer.Argument(metavar="PHOTO", help="The photo, or a sample photo's name.")
    ],
    painting: Annotated[
        str, typer.Argument(metavar="PAINTING", help="The painting, or a sample style's name.")
    ],
    outputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="OUTPUT",
            show_default=False,
            help="The pictures to measure, or folders of them.",
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="compact|compact-2|vgg19|FILE",
            help="Whose features to measure with; if not given, one that is at hand and did not make the pictures.",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC", help="Rank by this; if not given, by style and legibility alike."
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=32, help="Compare at this long side in pixels, where the pictures are larger."
        ),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(metavar="N", min=2, help="Also look for seams between tiles of N pixels."),
    ] = None,
    film: Annotated[
        bool,
        typer.Option(
            "--film",
            help="PHOTO and the outputs are films: measure how their frames agree, and how still they are. PAINTING "
            "may be left out.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The numbers in full, as JSON.")] = False,
    explain: Annotated[  # noqa: ARG001
        bool,
        typer.Option(
            "--explain",
            callback=_explain,
            is_eager=True,
            help="What each number means, and its source.",
        ),
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure pictures against their photo and their painting; several are ranked, best first.

    impasto score photo.jpg painting.jpg out.png
    impasto score photo.jpg painting.jpg results --by legibility
    impasto score clip.mp4 out.mp4 apart.mp4 --film
    impasto score --explain
    """
    with reporting(debug):
        if tile is not None and size is not None:
            raise ImpastoError("--tile counts the pixels of the file: leave --size out")
        if film:
            if encoder or by or size or tile:
                raise ImpastoError("--film goes with --json alone; leave the other options out")
            from impasto.apps.cli.filming import painted_films, score_films

            score_films(Path(photo), painted_films(painting, outputs or ()), as_json=as_json)
            return
        if not outputs:
            raise ImpastoError("name what to measure: impasto score PHOTO PAINTING OUTPUT")
        scored = measure(
            photo, painting, outputs, encoder=encoder, by=by, size=size, tile=tile, quiet=quiet
        )
        if not quiet:
            for note in dict.fromkeys(note for each in scored for note in each.notes):
                say(f"note: {printable(note)}")
        print(_json(photo, painting, scored) if as_json else _scores(scored))


class Scored(NamedTuple):
    """A measured picture: its file, its `impasto.analysis.metrics.score` under `encoder`, the
    encoder it was made under, if known, and notes.
    """

    path: Path
    values: dict[str, float]
    encoder: str
    maker: str | None
    notes: tuple[str, ...]


def measure(
    photo: str,
    painting: str,
    outputs: Sequence[Path],
    *,
    encoder: str | None = None,
    by: str | None = None,
    size: int | None = None,
    tile: int | None = None,
    quiet: bool = True,
) -> list[Scored]:
    """Score picture files and those in folders, best first (see `impasto.analysis.metrics.rank`).

    All are measured under one encoder, in float32: the one given, or `judge`'s choice. The photo is
    resized to each picture, the painting reduced to its long side. What cannot be read in a folder
    is left out, and said so; `ImpastoError` where nothing is left, and for anything else that
    cannot be read or measured.
    """
    import torch

    from impasto.analysis.metrics import Reference, rank, reference
    from impasto.analysis.metrics import score as scored
    from impasto.apps.progress import display
    from impasto.networks.weights import load_encoder
    from impasto.pictures.sources import open_source

    paths = _pictures(outputs, (photo, painting))
    known: dict[tuple[int, int], Reference] = {}
    found = []
    with display(quiet or len(paths) == 1) as show:
        makers = _tolerant(_maker, paths, show)
        name = encoder or judge(makers.values())
        net = load_encoder(name, dtype=torch.float32)
        for done, (path, maker) in enumerate(makers.items(), start=1):
            read = _tolerant(partial(_opened, size=size), {path: paths[path]}, show)
            if path not in read:
                continue
            opened = read[path]
            height, width = opened.image.shape[-2:]
            content = open_source(photo, max(height, width))
            notes = [f"{path.name}: {note}" for note in opened.notes]
            if (height, width) not in known:
                style = _large_enough(painting, open_source(painting, max(height, width)))
                known[height, width] = reference(
                    content.image, style.image, (height, width), net, seen=style.alpha
                )
                notes += [
                    f"{each}: {note}"
                    for each, of in ((photo, content), (painting, style))
                    for note in of.notes
                ]
            values = scored(opened.image, known[height, width], tile=tile, seen=opened.alpha)
            notes += [
                note for note in (_stretched(path, content.image.shape, width / height),) if note
            ]
            if maker == net.name:
                notes.append(
                    f"{path.name} was made with the features of {maker} and is measured with them: flattering"
                )
            found.append(Scored(path, values, net.name, maker, tuple(notes)))
            show.update(done, len(makers), one_line(printable(path.name)), None)
    if not found:
        raise ImpastoError("none of the pictures could be read; name others")
    return [found[index] for index in rank([each.values for each in found], by)]


def _opened(path: Path, size: int | None) -> "Picture":
    from impasto.pictures.image import open_picture

    return _large_enough(path, open_picture(path, size=size))


def _large_enough(name: Path | str, picture: "Picture") -> "Picture":
    """The picture; `ImpastoError` that names it where an encoder could not see it."""
    from impasto.networks.encoder import SMALLEST

    height, width = picture.image.shape[-2:]
    if min(height, width) < SMALLEST:
        raise ImpastoError(
            f"{name} is {width} x {height} px here, too small to measure; each side needs {SMALLEST}"
        )
    return picture


def _tolerant(
    read: Callable[[Path], T], paths: Mapping[Path, bool], show: "Display"
) -> dict[Path, T]:
    """What is read of each, without those of a folder (True) that cannot be read, which are noted."""
    found = {}
    for path, of_folder in paths.items():
        try:
            found[path] = read(path)
        except ImpastoError as error:
            if not of_folder:
                raise
            show.note(f"left out: {error}")
    return found


def _stretched(path: Path, shape: Sequence[int], ratio: float) -> str:
    photo = shape[-1] / shape[-2]
    # Of small pictures, one pixel more or less is a few percent.
    if abs(photo / ratio - 1) < 0.05:
        return ""
    return f"{path.name} has other proportions than the photo ({ratio:.2f} for {photo:.2f}), which is stretched to it"


def judge(makers: Iterable[str | None]) -> str:
    """An encoder that made none of the pictures: the embedded one; VGG-19 where its weights are
    here; the second embedded one. Where all did, the embedded one again.

    `makers`: by the pictures' recipes. An optimiser pleases the very encoder it descends on.
    """
    from impasto.networks.weights import EMBEDDED, SECOND

    here = (EMBEDDED, *(["vgg19"] if _has_vgg19() else []), SECOND)
    used = set(makers)
    return next((name for name in here if name not in used), EMBEDDED)


def _has_vgg19() -> bool:
    """Whether the hub's cache holds the weights: a score should not fetch half a gigabyte unasked."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{base}/huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()
    return any(cache.glob("models--timm--vgg19.tv_in1k/snapshots/*/model.safetensors"))


def _maker(path: Path) -> str | None:
    """The encoder a picture was made under, by its recipe; of a one-pass picture, that of training."""
    from impasto.networks.weights import EMBEDDED
    from impasto.pictures.recipes import read_recipe

    recipe = read_recipe(path) or {}
    named = recipe.get("encoder")
    name = named.get("name") if isinstance(named, Mapping) else None
    return name if isinstance(name, str) else EMBEDDED if "network" in recipe else None


def _pictures(outputs: Iterable[Path], inputs: Iterable[str]) -> dict[Path, bool]:
    """Files as they are; of a folder (True) its pictures, sorted by name, without those measured
    against.
    """
    own = [Path(name) for name in inputs if Path(name).exists()]
    found: dict[Path, bool] = {}
    for path in outputs:
        if not path.is_dir():
            found[path] = False
            continue
        inside = sorted(
            each for each in path.iterdir() if each.suffix.lower() in FORMATS and each.is_file()
        )
        inside = [each for each in inside if not any(each.samefile(other) for other in own)]
        if not inside:
            raise ImpastoError(f"the folder {path} holds no pictures to measure; name another")
        found |= {each: True for each in inside if each not in found}
    return found


def _scores(scored: Sequence[Scored]) -> str:
    """One picture down the page, several across, ranked."""
    names = list(scored[0].values)
    files = [printable(each.path.name) for each in scored]
    rows = [[_short(each.values[name]) for name in names] for each in scored]
    heads = [name.removeprefix("style/") for name in names]
    if any(each.maker for each in scored):
        heads += ["made under"]
        for row, each in zip(rows, scored, strict=True):
            row.append(printable(each.maker or "-"))
    if len(scored) == 1:
        table = _table([(files[0], ""), *zip(heads, rows[0], strict=True)], left=1)
    else:
        numbered = [
            (f"{place}  {name}", *row)
            for place, (name, row) in enumerate(zip(files, rows, strict=True), 1)
        ]
        table = _table([("   picture", *heads), *numbered], left=1)
    judged = printable(scored[0].encoder)
    return f"{table}\n\njudged by {judged}; impasto score --explain says what is what"


def _short(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.4g}"


def _table(rows: Sequence[Sequence[str]], left: int) -> str:
    """Rows of texts as columns, the first `left` of them flush left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = ["<" if i < left else ">" for i in range(len(widths))]
    lines = [
        "  ".join(f"{text:{s}{w}}" for text, s, w in zip(row, sides, widths, strict=True))
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def _json(photo: str, painting: str, scored: Sequence[Scored]) -> str:
    """Keys in a fixed order, names without folders, numbers in full."""
    pictures: list[dict[str, Any]] = [
        {
            "rank": place,
            "picture": each.path.name,
            "made under": each.maker,
            "scores": each.values,
            "notes": list(each.notes),
        }
        for place, each in enumerate(scored, start=1)
    ]
    names = {
        "photo": Path(photo).name,
        "painting": Path(painting).name,
        "encoder": scored[0].encoder,
    }
    return json.dumps({**names, "pictures": pictures}, indent=2, allow_nan=False)
