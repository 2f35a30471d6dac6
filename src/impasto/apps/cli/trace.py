"""The history of a rendering's losses, kept: every value as CSV, the course of them as a plot."""

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impasto.errors import InputError, OptionError
from impasto.methods.stylizer import Progress
from impasto.pictures.writing import atomic_write

__all__ = ["Trace", "require_plot"]


@dataclass(frozen=True)
class Trace:
    """The losses of each step, as they came.

    `losses[i]` are those of step `steps[i]`, empty where the step was undone; `sides[i]` is the
    long side of its picture in pixels: relative losses jump where a coarse-to-fine method changes
    it.
    """

    steps: list[int] = field(default_factory=list)
    losses: list[Mapping[str, float]] = field(default_factory=list)
    sides: list[int] = field(default_factory=list)

    def add(self, step: Progress) -> None:
        """Keep this step's losses."""
        self.steps.append(step.step)
        self.losses.append(dict(step.losses))
        self.sides.append(max(step.image.shape[-2:]))

    @property
    def names(self) -> tuple[str, ...]:
        """The columns beside `step`: `total`, every `NAME` (weighted), every `raw/NAME`."""
        found = dict.fromkeys(name for losses in self.losses for name in losses)
        # Sorting is stable: within a kind, names keep the order in which they came.
        return tuple(sorted(found, key=lambda name: (name != "total", name.startswith("raw/"))))

    def save(self, path: Path) -> None:
        """Write `step,total,NAME…,raw/NAME…`, one row a step, numbers in full. `InputError` where
        it cannot.
        """

        with _written(path) as partial, partial.open("x", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, ("step", *self.names), restval="", lineterminator="\n")
            table.writeheader()
            for step, losses in zip(self.steps, self.losses, strict=True):
                table.writerow({"step": step, **losses})

    def plot(self, path: Path) -> None:
        """Draw total and weighted losses over the steps as PNG, sizes marked. `InputError` where it
        cannot.
        """
        require_plot()
        # Not pyplot: it keeps global state and looks for a display.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 5.5), dpi=120, layout="constrained")
        self._draw(figure.add_subplot())
        canvas = FigureCanvasAgg(figure)
        with _written(path) as partial:
            canvas.print_figure(str(partial), format="png")

    def _draw(self, axes: Any) -> None:
        drawn = [name for name in self.names if not name.startswith("raw/")]
        for name in drawn:
            # Zero (the photo's own content loss, at the start) has no place on a logarithmic axis.
            values = [losses.get(name) or float("nan") for losses in self.losses]
            marker, width = "." if len(values) == 1 else "", 2.2 if name == "total" else 1.2
            axes.plot(self.steps, values, marker=marker, label=name, lw=width, zorder=2)
        axes.set_yscale("log")
        axes.xaxis.get_major_locator().set_params(integer=True)
        for i in range(len(self.sides)):
            if i == 0 or self.sides[i] != self.sides[i - 1]:
                axes.axvline(self.steps[i], color="0.8", lw=0.8, zorder=1)
                axes.annotate(
                    f"{self.sides[i]} px",
                    (self.steps[i], 1),
                    xycoords=("data", "axes fraction"),
                    xytext=(3, -11),
                    textcoords="offset points",
                    color="0.5",
                    fontsize=8,
                )
        axes.set_xlabel("step")
        axes.set_ylabel("weighted loss")
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)


def require_plot() -> None:
    """`OptionError` where matplotlib is missing; call it before long work."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise OptionError(
            '--trace draws its plot with matplotlib: pip install "impasto[plot]"'
        ) from None


@contextmanager
def _written(path: Path) -> Iterator[Path]:
    """`atomic_write`, in words where it fails."""
    try:
        with atomic_write(path) as partial:
            yield partial
    except OSError as error:
        raise InputError(f"cannot save {path} ({error.strerror}); check the disk") from error
