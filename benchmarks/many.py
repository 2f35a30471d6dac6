"""Pictures an hour: by a batch here, and by Ray's workers, each of one thread, once warm.

    python benchmarks/many.py --photos 40 --size 512 --workers 1 --workers 2

`--wait` sleeps before every picture, as a slow store would.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from impasto.apps.batch import Batch, Outcome, Worker
from impasto.apps.finding import Photo
from impasto.apps.ray_workers import outcomes_by_ray
from impasto.pictures.samples import sample, sample_names
from impasto.settings import Settings


def photos(folder: Path, count: int) -> list[Photo]:
    """So many crops of the sample photos."""
    found = []
    for number in range(count):
        image = sample(sample_names()[number % len(sample_names())])
        left, top = (7 * number) % (image.width // 4), (5 * number) % (image.height // 4)
        path = folder / f"{number:04}.jpg"
        image.crop((left, top, left + image.width // 2, top + image.height // 2)).save(path)
        found.append(Photo(str(path), path.stem))
    return found


def pace(outcomes: Iterator[Outcome], aside: int) -> float:
    """Pictures an hour, the first `aside` of them, which load the networks, not counted."""
    begun, count = time.perf_counter(), 0
    for count, outcome in enumerate(outcomes, 1):
        if outcome.state != "painted":
            raise SystemExit(outcome.said)
        if count == aside:
            begun = time.perf_counter()
    return 3600 * (count - aside) / (time.perf_counter() - begun)


def main() -> None:
    """Print a line for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--format", default="jpg")
    parser.add_argument("--wait", type=float, default=0.0)
    parser.add_argument("--workers", type=int, action="append", default=[])
    asked = parser.parse_args()
    settings = Settings(method="arbitrary", size=asked.size)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = photos(folder, asked.photos)

        def batch(to: str) -> Batch:
            work = Batch(found, [("mosaic",)], folder / to, settings, f".{asked.format}")
            work.check()
            return work

        worker = Worker(settings)

        def here() -> Iterator[Outcome]:
            for task in batch("here").tasks():
                time.sleep(asked.wait)
                yield worker.paint(task)

        print(
            f"a batch, {asked.wait} s to fetch a photo: {pace(here(), 4):,.0f} an hour", flush=True
        )
        for count in asked.workers:
            by_ray = outcomes_by_ray(settings, batch(f"ray{count}").tasks(), "local", count)
            print(f"Ray, {count} workers: {pace(by_ray, 4 * count):,.0f} an hour", flush=True)


if __name__ == "__main__":
    main()
