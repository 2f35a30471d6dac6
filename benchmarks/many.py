"""Pictures an hour: by a batch here, and by Ray's workers, each of one thread, once warm.

    python benchmarks/many.py --photos 160 --size 512 --workers 1 --workers 2
    python benchmarks/many.py --photos 30 --size 256 --wait 0.2 --ahead 1 --ahead 8

`--wait`: photos lie in a store, and pictures go to it, where every call takes so many seconds.
`--ahead`: how many pictures a worker has under way. Beside the time, what the processor took for a
picture: that does not grow with what else runs on the machine.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from impasto.apps.batch import Batch, Outcome, Worker
from impasto.apps.finding import find
from impasto.apps.ray_workers import outcomes_by_ray
from impasto.pictures.samples import sample, sample_names
from impasto.settings import Settings

sys.path.append(str(Path(__file__).parents[1] / "tools"))
from slow_store import slow_store


def photos(folder: Path, count: int) -> None:
    """So many crops of the sample photos."""
    folder.mkdir()
    for number in range(count):
        image = sample(sample_names()[number % len(sample_names())])
        left, top = (7 * number) % (image.width // 4), (5 * number) % (image.height // 4)
        path = folder / f"{number:04}.jpg"
        image.crop((left, top, left + image.width // 2, top + image.height // 2)).save(path)


def processor() -> float:
    """Seconds of the processor that this process and Ray's painters have taken."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::_Painter" not in (path / "cmdline").read_bytes():
                continue
            fields = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def pace(outcomes: Iterator[Outcome], aside: int) -> str:
    """Pictures an hour, the first `aside` of them, which load the networks, not counted."""
    begun, worked, count = time.perf_counter(), processor(), 0
    for count, outcome in enumerate(outcomes, 1):
        if outcome.state != "painted":
            raise SystemExit(outcome.said)
        if count == aside:
            begun, worked = time.perf_counter(), processor()
        # Asked before the last is told of: then its workers end.
        taken = processor() - worked
    seconds = time.perf_counter() - begun
    each = (count - aside) or 1
    return f"{3600 * each / seconds:,.0f} an hour, {taken / each:.3f} s of processor each"


def main() -> None:
    """Print a line for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--format", default="jpg")
    parser.add_argument("--wait", type=float)
    parser.add_argument("--ahead", type=int, action="append", default=[])
    parser.add_argument("--workers", type=int, action="append", default=[])
    asked = parser.parse_args()
    settings = Settings(method="arbitrary", size=asked.size)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos(folder / "photos", asked.photos)
        slow = asked.wait is not None
        top = "slow:/" if slow else name

        def batch(to: str) -> Batch:
            work = Batch(
                find(f"{top}/photos", f"{top}/{to}"),
                [("mosaic",)],
                f"{top}/{to}",
                settings,
                f".{asked.format}",
            )
            work.check()
            return work

        with slow_store(folder, asked.wait) if slow else nullcontext():
            for ahead in asked.ahead or [2]:
                said = f"{ahead} under way"
                worker, work = Worker(settings), batch(f"here{ahead}")
                if not asked.workers:
                    print(f"a batch, {said}: {pace(worker.outcomes(work.tasks(), ahead=ahead), 4)}")
                for count in asked.workers:
                    work = batch(f"ray{count}-{ahead}")
                    by_ray = outcomes_by_ray(settings, work.tasks(), "local", count, ahead)
                    aside = 4 * count
                    print(f"Ray, {count} workers, {said}: {pace(by_ray, aside)}", flush=True)


if __name__ == "__main__":
    main()
