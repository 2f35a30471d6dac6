"""How good the default is, on many pairs, by a judge that is not the encoder optimised.

    python benchmarks/quality.py --judge JUDGE.py --pairs PAIRS.csv --pictures FOLDER [--out FOLDER]
    [-- OPTIONS]

`PAIRS.csv` has columns `content,style`; the pictures are FOLDER/content/NAME.jpg and
FOLDER/style/NAME.jpg. With a third column, `learned`, a pair is painted by `--method fast` in the
learned style of that name, and judged by the picture of `style`. `JUDGE.py CONTENT STYLE OUTPUT`
prints one JSON object with `style` and `content` (lower is better in both; only the pair says
anything). Everything after `--` goes to `impasto stylize`. Reports every pair, the mean and the
worst, with the seconds of the whole command.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="keep the pictures here")
    parser.add_argument("options", nargs="*", help="for impasto stylize")
    args = parser.parse_args()
    with args.pairs.open(newline="") as file:
        table = csv.DictReader(file)
        pairs = list(
            dict.fromkeys((row["content"], row["style"], row.get("learned", "")) for row in table)
        )
    with tempfile.TemporaryDirectory() as scratch:
        out = args.out or Path(scratch)
        out.mkdir(parents=True, exist_ok=True)
        rows = [score(args, *pair, out / f"{pair[0]}-{pair[2] or pair[1]}.png") for pair in pairs]
    for key in ("style", "content", "seconds"):
        values = [row[key] for row in rows]
        print(
            f"{key:8s} mean {sum(values) / len(values):.4f}  worst {max(values):.4f}  over {len(values)} pairs"
        )


def score(
    args: argparse.Namespace, content: str, style: str, learned: str, output: Path
) -> dict[str, float]:
    photo, painting = (
        args.pictures / kind / f"{name}.jpg"
        for kind, name in (("content", content), ("style", style))
    )
    program = [sys.executable, "-c", "from impasto.apps.cli.main import main; main()"]
    chosen = ["--style", learned, "--method", "fast"] if learned else [painting]
    command = [*program, "stylize", photo, *chosen, "-o", output, "--quiet"]
    begun = time.perf_counter()
    subprocess.run([*command, *args.options], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - begun
    verdict = subprocess.run(
        [sys.executable, args.judge, photo, painting, output],
        check=True,
        capture_output=True,
        text=True,
    )
    row = {**json.loads(verdict.stdout), "seconds": seconds}
    print(
        f"{content} x {learned or style}: style {row['style']:.4f} content {row['content']:.4f} {seconds:.1f} s",
        flush=True,
    )
    return row


if __name__ == "__main__":
    main()
