"""Photos and what the optimiser paints of them, a folder at a time: data for `impasto train pairs`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from PIL import Image

from impasto.apps.interrupt import INTERRUPTED
from impasto.apps.progress import Display, Pace, display
from impasto.apps.report import emit, say
from impasto.errors import ImpastoError
from impasto.methods.stylizer import Progress
from impasto.pictures.image import check_output, read_recipe, save_picture
from impasto.pipeline import Job, plan
from impasto.settings import Settings

__all__ = ["Pairs", "make_pairs"]


@dataclass(frozen=True)
class Pairs:
    """The images under the folder `photos`, to be painted in `style` (a file, or a sample style's
    name) in `output`.

    `size`: the long side in px; `steps` of the optimiser for each, by default its own;
    `style_loss`: what the style is to it, and so to a network that learns from the pairs.
    """

    photos: Path
    style: str
    output: Path
    size: int
    steps: int | None = None
    device: str = "auto"
    style_loss: str = Settings().style_loss

    def plan(self, photo: Path | Image.Image) -> Job:
        """What is to be done for one photo."""
        return plan(
            photo,
            [self.style],
            size=self.size,
            device=self.device,
            steps=self.steps,
            style_loss=self.style_loss,
        )

    def photo(self, name: str) -> Path:
        """Where the photo of a pair goes."""
        return self.output / "photos" / f"{name}.png"

    def painted(self, name: str) -> Path:
        """Where the painted picture of a pair goes."""
        return self.output / "painted" / f"{name}.png"


def make_pairs(pairs: Pairs, *, quiet: bool) -> None:
    """Make the pairs that are missing, and print their folder on stdout.

    Ctrl-C keeps those that are whole and raises `typer.Exit(130)`. Raises `ImpastoError`, long work
    not yet begun, for whatever does not fit, and at the end if there is not one pair.
    """
    # On grey paper first: what is wrong with the style or an option is no photo's fault.
    trial = pairs.plan(Image.new("RGB", (64, 64), "grey"))
    made = 0
    try:
        with display(quiet) as show:
            photos = _photos(pairs, show)
            there = [
                name
                for name in photos
                if pairs.photo(name).exists() and pairs.painted(name).exists()
            ]
            for name in there:
                _check_alike(pairs.painted(name), trial.recipe)
            if there:
                show.note(f"{len(there)} of {len(photos)} pairs are there already")
            made = len(there)
            paint = _Painting(
                pairs, show, {name: path for name, path in photos.items() if name not in there}
            )
            for name in paint.missing:
                made += paint.pair(name)
    except KeyboardInterrupt:
        say(f"interrupted; the pairs so far are in {pairs.output}, and the same command goes on")
        raise typer.Exit(INTERRUPTED) from None
    if not made:
        raise ImpastoError(
            f"not one picture in {pairs.photos} could be painted; run it with other photos"
        )
    emit(pairs.output)


def _photos(pairs: Pairs, show: Display) -> dict[str, Path]:
    """The image files by name: their path in the folder, without the ending."""
    if not pairs.photos.is_dir():
        raise ImpastoError(f"{pairs.photos} is not a folder; give a folder of photos")
    if pairs.output.resolve() in (photos := pairs.photos.resolve(), *photos.parents):
        raise ImpastoError(f"the photos of {pairs.photos} lie in the output folder; choose another")
    if pairs.output.exists() and not pairs.output.is_dir():
        raise ImpastoError(f"{pairs.output} is a file; name a folder")
    endings = {
        ending for ending, form in Image.registered_extensions().items() if form in Image.OPEN
    }
    output = pairs.output.resolve()
    found: dict[str, Path] = {}
    for path in sorted(pairs.photos.rglob("*")):
        if (
            path.suffix.lower() not in endings
            or not path.is_file()
            or output in path.resolve().parents
        ):
            continue
        name = path.relative_to(pairs.photos).with_suffix("").as_posix()
        if name in found:
            show.note(f"left out: {path} has the name of {found[name].name}")
        else:
            found[name] = path
    if not found:
        raise ImpastoError(
            f"there are no image files in {pairs.photos} to make pairs of; give a folder of photos"
        )
    return found


def _check_alike(path: Path, recipe: Mapping[str, Any]) -> None:
    """`ImpastoError` for a picture that was painted otherwise than `recipe` says."""
    theirs = read_recipe(path) or {}
    for name in ("styles", "size", "steps", "style_loss"):
        if name in theirs and theirs[name] != recipe[name]:
            raise ImpastoError(
                f"{path} was painted with other {name} than now; choose another -o, or delete it"
            )


class _Painting:
    """Paints one photo after the other, and shows how far they all are."""

    def __init__(self, pairs: Pairs, show: Display, missing: Mapping[str, Path]) -> None:
        self.pairs, self.show, self.missing = pairs, show, missing
        self._pace, self._done = Pace(), 0

    def pair(self, name: str) -> bool:
        """Whether there is one more pair now, and not a problem, which is noted."""
        photo, painted = self.pairs.photo(name), self.pairs.painted(name)
        for path in (photo, painted):
            path.parent.mkdir(parents=True, exist_ok=True)
            check_output(path)
        try:
            job, last = self._paint(name)
        except ImpastoError as error:
            self.show.note(f"left out: {error}")
            return False
        finally:
            self._done += 1
        save_picture(photo, job.content.image, alpha=job.content.alpha)
        job.save(last, painted)
        return True

    def _paint(self, name: str) -> tuple[Job, Progress]:
        """The job done, and its last step."""
        job = self.pairs.plan(self.missing[name])
        for step in job.steps():
            self._tell(name, step)
        return job, step

    def _tell(self, name: str, step: Progress) -> None:
        """Progress in steps of all the photos, as if each took as many as this one."""
        done, of = self._done * step.of + step.step, len(self.missing) * step.of
        text = f"{name}, photo {self._done + 1} of {len(self.missing)}"
        self.show.update(done, of, text, self._pace.left(done, of))
