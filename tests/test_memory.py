"""What memory there is, and that a picture that needs more is refused in words, with a size that
fits.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from impasto import memory
from impasto.apps.cli.main import main
from impasto.errors import OptionError
from impasto.memory import SPARE, available, check, spoken
from impasto.methods.base import METHODS
from impasto.networks.loaded import Networks
from impasto.pictures.image import read_recipe
from impasto.pictures.samples import sample, sample_style
from impasto.pipeline import plan
from impasto.settings import Settings

GB = 10**9


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks()


def system(root: Path, free: int = 20 * GB, **files: str) -> Path:
    """A root with what Linux says, and the files given: `proc/self/cgroup`, …"""
    said = {"proc/meminfo": f"MemTotal: 99 kB\nMemAvailable:   {free // 1024} kB\n", **files}
    for name, text in said.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def v2(folder: str, limit: str, taken: int, cache: int = 0) -> dict[str, str]:
    base = f"sys/fs/cgroup{folder}"
    stat = f"anon 1\ninactive_file {cache}\n"
    return {
        f"{base}/memory.max": f"{limit}\n",
        f"{base}/memory.current": f"{taken}\n",
        f"{base}/memory.stat": stat,
    }


def v1(folder: str, limit: int, taken: int, cache: int = 0) -> dict[str, str]:
    base = f"sys/fs/cgroup/memory{folder}"
    return {
        f"{base}/memory.limit_in_bytes": f"{limit}\n",
        f"{base}/memory.usage_in_bytes": f"{taken}\n",
        f"{base}/memory.stat": f"inactive_file 5\ntotal_inactive_file {cache}\n",
    }


OURS = {"proc/self/cgroup": "0::/a/b\n"}
THEIRS = {"proc/self/cgroup": "9:name=systemd:/x\n4:cpu,memory:/a/b\n0::/\n"}
LARGEST = 9223372036854771712


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 20 * GB),
        (OURS, 20 * GB),
        (OURS | v2("/a/b", "max", GB), 20 * GB),
        (OURS | v2("/a/b", str(3 * GB), GB), 2 * GB),
        (OURS | v2("/a/b", str(3 * GB), 2 * GB, GB), 2 * GB),  # what is kept of files is given back
        (OURS | v2("/a/b", "max", GB) | v2("/a", str(4 * GB), GB), 3 * GB),
        (OURS | v2("/a/b", str(8 * GB), 0) | v2("", str(GB), 0), GB),
        (OURS | v2("", str(3 * GB), GB), 2 * GB),  # in a container, by its name outside
        (OURS | v2("/a/b", str(3 * GB), 5 * GB), 0),
        (THEIRS | v1("/a/b", LARGEST, GB), 20 * GB),
        (THEIRS | v1("/a/b", 3 * GB, GB), 2 * GB),
        (THEIRS | v1("/a/b", 3 * GB, 2 * GB, GB), 2 * GB),
        (THEIRS | v1("", 3 * GB, GB), 2 * GB),
        (OURS | v2("/a/b", str(90 * GB), 0), 20 * GB),
    ],
)
def test_the_smallest_limit_counts(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    found = available(system(tmp_path, **files))
    assert found == pytest.approx(expected, abs=1024)


def test_where_nothing_is_known_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert available(tmp_path) is None
    monkeypatch.setattr(memory, "available", lambda: None)
    check(lambda _: 1e30, 512)


@pytest.mark.parametrize("free", [0.3 * GB, GB, 5 * GB, 30 * GB])
def test_the_size_that_is_named_is_the_largest_that_fits(free: float) -> None:
    def needed(size: int) -> float:
        return 2e8 + 400 * size**2

    largest = int(((SPARE * free - 2e8) / 400) ** 0.5)
    check(needed, largest, free)
    with pytest.raises(OptionError) as error:
        check(needed, largest + 1, free)
    assert f"`size={largest // 16 * 16}` fits" in str(error.value)
    with pytest.raises(OptionError, match="no size fits"):
        check(needed, 512, 1e8)
    assert spoken(2.34e9) == "2.3 GB"
    assert spoken(6.4e8) == "640 MB"


@pytest.mark.parametrize("method", ["optimize", "arbitrary", "fast"])
def test_what_is_needed_rises_with_whatever_costs(method: str) -> None:
    def needed(height: int = 512, width: int = 512, **options: Any) -> float:
        found: float = METHODS.get(method).memory(Settings(method=method, **options), height, width)
        return found

    base = needed()
    assert 1e8 < base < 3e9
    assert needed(2048, 2048) > 2 * base
    assert needed(256, 512) <= base
    assert needed(style_scale=0.25) >= base
    assert needed(style_scale=4) >= base


@pytest.mark.parametrize(
    "options",
    [{}, {"init": "content"}, {"method": "arbitrary"}, {"method": "arbitrary", "refine": 3}],
)
def test_a_plan_that_needs_more_than_there_is_is_refused_before_long_work(
    options: dict[str, Any], networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available", lambda: 0.8 * GB)
    with pytest.raises(OptionError) as error:
        plan("cat", ["mosaic"], size=4096, networks=networks, **options)
    said = str(error.value)
    assert "\n" not in said
    size = int(said.partition("`size=")[2].partition("` fits")[0].partition("`size=")[2])
    assert 64 <= size < 4096
    assert plan("cat", ["mosaic"], size=size, networks=networks, **options).renderer.steps


def test_a_command_says_it_in_one_line_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memory, "available", lambda: 1.2 * GB)
    with pytest.raises(SystemExit) as left:
        main(["stylize", "cat", "mosaic", "--size", "4096", "-o", "out.png"])
    assert left.value.code == 2
    assert "error: --size 4096 needs about" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_pictures_saved_on_the_way_survive_what_kills_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from impasto.methods import optimize

    monkeypatch.chdir(tmp_path)
    real: Callable[..., Any] = optimize.descend

    def short(*args: Any, **options: Any) -> Any:
        for number, step in enumerate(real(*args, **options)):
            if number == 3:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            yield step

    monkeypatch.setattr(optimize, "descend", short)
    command = "stylize cat mosaic --size 64 --steps 8 --save-every 2 --init content"
    with pytest.raises(SystemExit) as left:
        main([*command.split(), "--no-pyramid", "-o", "out.png"])
    assert left.value.code == 2
    assert "not enough memory" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["out-00002.png"]
    assert (read_recipe("out-00002.png") or {})["steps_done"] == 2


def test_large_paintings_are_read_at_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """No features of more than a part of a painting at a time, however large it is asked for."""
    from impasto.methods.reading import WHOLE
    from impasto.networks.encoder import Encoder

    seen: list[int] = []
    real = Encoder.features

    def features(self: Encoder, image: torch.Tensor, layers: Any) -> Any:
        seen.append(image.shape[-2] * image.shape[-1])
        return real(self, image, layers)

    monkeypatch.setattr(Encoder, "features", features)
    monkeypatch.setattr("impasto.methods.reading.WHOLE", WHOLE // 64)
    monkeypatch.setattr("impasto.methods.reading._SIDE", 64)
    photo: Image.Image = sample("cat").resize((64, 48))
    options: dict[str, Any] = {"size": 64, "style_scale": 4}
    for more in (
        {"method": "arbitrary", "size": 256, "style_scale": 2},
        {"init": "content", "steps": 1},
    ):
        list(plan(photo, [sample_style("mosaic")], **options | more).steps())
    assert max(seen) < 256 * 256  # the painting
