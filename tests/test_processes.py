"""Training in several processes: what they learn together is what one process learns alone, and one
of them speaks.

The processes are real, started by the launchers themselves (which is slow) or forked into the
environment that they make.
Run by one of them, this file is what they run.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from impasto.apps.cli.main import main
from impasto.errors import ImpastoError
from impasto.training.configs import RunConfig
from impasto.training.data import randomness
from impasto.training.processes import Processes, part, processes
from impasto.training.run import Task, TrainingProgress, train

CONFIG = RunConfig(steps=6, batch=5, learning_rate=0.05, warmup=2, clip=0.9, precision="float32")


class Fit(Task):
    """A tiny network; whatever could differ between processes does, before the first step and in a
    micro-batch.
    """

    def __init__(self, config: RunConfig, accident: int = -1) -> None:
        super().__init__()
        self.config, self.balance, self.accident = config, {"fit": 1.0, "size": 0.1}, accident
        self.inner, self.outer = nn.Linear(3, 4), nn.Linear(4, 2)
        self.now_and_then = nn.Parameter(torch.zeros(2))
        self.register_buffer("aim", torch.zeros(3, 2))

    @property
    def recipe(self) -> dict[str, Any]:
        return self.config.model_dump()

    @torch.no_grad()
    def start(self) -> tuple[str, ...]:
        torch.manual_seed(7)  # until here every process has weights of its own
        for tensor in self.state_dict().values():
            tensor.normal_()
        return ("started",)

    def batch(self, micro: int, /) -> Tensor:
        batch = torch.from_numpy(
            randomness(self.config.seed, micro).standard_normal((self.config.batch, 3))
        ).float()
        return batch * torch.inf if micro == self.accident else batch

    def forward(self, batch: Tensor, micro: int, /) -> dict[str, Tensor]:
        guess = self.outer(self.inner(batch).tanh()) * (1 + micro / 20)
        if micro % 2:
            guess = guess + self.now_and_then
        return {"fit": (guess - batch @ self.aim).square().mean(), "size": guess.abs().mean()}

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.Adam(self.parameters(), lr=self.config.learning_rate)]

    def validate(self) -> dict[str, float]:
        return {"length": torch.stack([p.square().sum() for p in self.parameters()]).sum().item()}


class Chained(Fit):
    chained: ClassVar[bool] = True


def told(record: TrainingProgress) -> dict[str, Any]:
    """A record without what depends on the clock."""
    return {name: value for name, value in asdict(record).items() if name not in ("rate", "left")}


def trained(
    task: Task, checkpoint: Path, interrupt: int | None = None, **options: Any
) -> dict[str, Any]:
    """Its records, how it ended, and the weights; SIGINT comes with record `interrupt`."""
    records, end = [], "done"
    try:
        for record in train(task, checkpoint=checkpoint, device="cpu", every=4, **options):
            records.append(told(record))
            if record.step == interrupt:
                signal.raise_signal(signal.SIGINT)
    except (ImpastoError, KeyboardInterrupt) as error:
        end = str(error) or type(error).__name__
    return {
        "records": records,
        "end": end,
        "weights": {k: v.tolist() for k, v in task.state_dict().items()},
    }


def work(folder: Path) -> None:
    """What one of the processes does."""
    rank, accumulating = processes().rank, CONFIG.but(accumulate=2)
    found = {
        "whole": trained(Fit(CONFIG), folder / "whole.checkpoint"),
        # The Ctrl-C reaches the last process only.
        "stopped": trained(
            Fit(CONFIG), folder / "stopped.checkpoint", interrupt=2 if rank else None
        ),
        "refused": trained(Fit(accumulating), folder / "stopped.checkpoint", resume=True),
        "missing": trained(Fit(CONFIG), folder / "missing.checkpoint", resume=True),
        "nowhere": trained(Fit(CONFIG), folder / "nowhere" / "checkpoint"),
        "accident": trained(Fit(CONFIG, accident=5), folder / "accident.checkpoint"),
        "different": trained(Fit(CONFIG.but(seed=rank)), folder / "different.checkpoint"),
        "chained": trained(Chained(CONFIG), folder / "chained.checkpoint"),
        "place": asdict(processes()),
    }
    (folder / f"{rank}.json").write_text(json.dumps(found))


# ------------------------------------------------------------------------------------------- launchers


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    known = {
        name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "LT_"))
    }
    path = os.pathsep.join(place for place in sys.path if place)
    return known | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"} | more


def ended(started: Sequence["subprocess.Popen[str]"]) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of each."""
    found = [process.communicate(timeout=600) for process in started]
    return [(process.returncode, *texts) for process, texts in zip(started, found, strict=True)]


def start(command: Sequence[str | Path], env: Mapping[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def fabric_run(*command: str | Path) -> list[tuple[int, str, str]]:
    fabric = Path(sysconfig.get_path("scripts"), "fabric")
    options = (
        "--accelerator",
        "cpu",
        "--devices",
        "2",
        "--strategy",
        "ddp",
        "--main-port",
        free_port(),
    )
    return ended([start([fabric, "run", *options, "--", *command], environment())])


def torchrun(*command: str | Path) -> list[tuple[int, str, str]]:
    options = ("--nproc-per-node", "2", "--master-port", free_port())
    return ended(
        [start([sys.executable, "-m", "torch.distributed.run", *options, *command], environment())]
    )


# What takes seconds to import is imported once; then each process finds its own place.
FORKED = """
import json, os, runpy, sys, traceback
import lightning_fabric, impasto.apps.cli.main, impasto.apps.cli.training, impasto.training.bank
places = json.loads(sys.argv[1])
for place in places:
    if not os.fork():
        os.environ.update(place)
        sys.argv = sys.argv[2:]
        sys.path[0] = os.path.dirname(sys.argv[0])
        code = 0
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as ended:
            code = ended.code or 0
        except BaseException:
            code = traceback.print_exc() or 1
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)  # to take apart what the fork shares would cost a second
sys.exit(any(os.waitstatus_to_exitcode(os.wait()[1]) for _ in places))
"""


def forked(places: Sequence[Mapping[str, str]], *command: str | Path) -> list[tuple[int, str, str]]:
    """A process of the same command at each place, which is what it finds in its environment."""
    found = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    line = [sys.executable, "-c", FORKED, json.dumps(places), *command]
    return ended([start(line, environment(**found))])


def as_torchrun(*command: str | Path) -> list[tuple[int, str, str]]:
    """What two processes of `torchrun` find."""
    job = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    job |= {"GROUP_RANK": "0", "GROUP_WORLD_SIZE": "1", "ROLE_RANK": "0", "ROLE_WORLD_SIZE": "2"}
    return forked([{**job, "RANK": rank, "LOCAL_RANK": rank} for rank in "01"], *command)


def srun(*command: str | Path) -> list[tuple[int, str, str]]:
    """What a job of one process on each of two machines finds."""
    job = {
        "SLURM_JOB_NAME": "train",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_NNODES": "2",
        "SLURM_LOCALID": "0",
    }
    return forked([{**job, "SLURM_PROCID": rank, "SLURM_NODEID": rank} for rank in "01"], *command)


# ----------------------------------------------------------------------------------------------- laws


@pytest.fixture(scope="module", params=[pytest.param(fabric_run, marks=pytest.mark.slow), srun])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes have left what they found: `0.json`, `1.json` and checkpoints."""
    place: Path = tmp_path_factory.mktemp(request.param.__name__)
    for code, out, err in request.param(__file__, place):
        assert (code, out) == (0, ""), err
    return place


def both(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads((folder / f"{rank}.json").read_text())[name] for rank in range(2)]


def assert_alike(found: Any, wanted: Any) -> None:
    """Equal to float32's rounding, through dicts and lists."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for name in wanted:
            assert_alike(found[name], wanted[name])
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=2e-5, abs=2e-6)
    elif isinstance(wanted, (list, tuple)):
        assert len(found) == len(wanted)
        for pair in zip(found, wanted, strict=True):
            assert_alike(*pair)
    else:
        assert found == wanted


def by_hand(config: RunConfig) -> tuple[list[float], dict[str, Any]]:
    """The totals and the weights of `Fit`, by the definition: in float64, all micro-batches of a
    step at once.
    """
    task = Fit(config)
    task.start()
    task.double()
    optimizer, totals, count = torch.optim.Adam(task.parameters()), [], config.accumulate
    for step in range(config.steps):
        losses = [
            task(task.batch(micro).double(), micro)
            for micro in range(step * count, (step + 1) * count)
        ]
        total = sum(each["fit"] + 0.1 * each["size"] for each in losses) / count
        optimizer.zero_grad()
        total.backward()
        norm = nn.utils.get_total_norm([p.grad for p in task.parameters() if p.grad is not None])
        for p in task.parameters():
            if p.grad is not None:
                p.grad *= min(1.0, config.clip / float(norm))
            elif count > 1:  # of several gradients none is left out
                p.grad = torch.zeros_like(p)
        cosine = 0.02 + 0.98 * (1 + np.cos(np.pi * step / config.steps)) / 2
        optimizer.param_groups[0]["lr"] = (
            config.learning_rate * min(1, (step + 1) / config.warmup) * cosine
        )
        optimizer.step()
        totals.append(total.item())
    return totals, {name: value.tolist() for name, value in task.state_dict().items()}


@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_a_step_is_the_mean_over_its_micro_batches(tmp_path: Path, accumulate: int) -> None:
    config = CONFIG.but(accumulate=accumulate)
    found = trained(Fit(config), tmp_path / "run.checkpoint")
    totals, weights = by_hand(config)
    assert_alike([record["losses"]["total"] for record in found["records"][2:]], totals)
    assert_alike(found["weights"], weights)


def test_two_processes_learn_together_what_one_does_by_accumulating(
    folder: Path, tmp_path: Path
) -> None:
    alone = trained(Fit(CONFIG.but(accumulate=2)), tmp_path / "alone.checkpoint")
    first, second = both(folder, "whole")
    assert first["weights"] == second["weights"]
    assert_alike(first, alone)
    assert [record["validation"] for record in second["records"]] == [{}] * 8
    assert [record["losses"] for record in second["records"]] == [
        record["losses"] for record in first["records"]
    ]


def test_ctrl_c_in_one_process_stops_all_and_one_alone_goes_on(
    folder: Path, tmp_path: Path
) -> None:
    for found in both(folder, "stopped"):
        assert found["end"] == "KeyboardInterrupt"
        assert [record["step"] for record in found["records"]] == [0, 0, 1, 2, 3]
    path = tmp_path / "stopped.checkpoint"
    path.write_bytes((folder / "stopped.checkpoint").read_bytes())
    resumed = trained(Fit(CONFIG.but(accumulate=2)), path, resume=True)
    whole, _ = both(folder, "whole")
    assert resumed["records"][0]["note"] == "resumed after step 3"
    assert_alike(
        [record["losses"] for record in resumed["records"][1:]],
        [r["losses"] for r in whole["records"][5:]],
    )
    assert_alike(resumed["weights"], whole["weights"])


def test_a_gradient_that_is_not_finite_in_one_process_is_skipped_by_all(folder: Path) -> None:
    first, second = both(folder, "accident")
    assert first["weights"] == second["weights"]
    assert np.isfinite(first["weights"]["inner.weight"]).all()
    for found in (first, second):
        skipped = [record["step"] for record in found["records"] if "skipped" in record["note"]]
        assert skipped == [3]  # the sixth micro-batch is the third step's second


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("refused", "made with 2 batches a step (accumulate times processes), not 4;"),
        ("missing", "there is no checkpoint"),
        ("nowhere", "cannot be written"),
        ("different", "the processes differ"),
        ("chained", "Chained goes on from batch to batch, in one process only"),
    ],
)
def test_what_does_not_fit_is_refused_by_all_processes(
    folder: Path, name: str, problem: str
) -> None:
    for found in both(folder, name):
        assert problem in found["end"]


def test_a_checkpoint_goes_on_with_as_many_micro_batches_only(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    trained(Fit(CONFIG.but(steps=1)), path)
    assert (
        "made with 1 batches"
        in trained(Fit(CONFIG.but(steps=1, accumulate=2)), path, resume=True)["end"]
    )
    state = torch.load(path, weights_only=True)
    recipe = json.loads(state["recipe"])
    del state["micros"], recipe["accumulate"]  # as long as there was no accumulating
    torch.save(state | {"recipe": json.dumps(recipe)}, path)
    assert trained(Fit(CONFIG.but(steps=1)), path, resume=True)["end"] == "done"


# ------------------------------------------------------------------------------------- the command line


def test_a_process_knows_its_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = 2 if "fabric_run" in folder.name else 1  # the job is on two machines
    assert both(folder, "place") == [{"rank": rank, "world": 2, "here": here} for rank in range(2)]
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("SLURM_JOB_NAME", "bash")
    assert processes() == Processes(0, 1, 1)


def test_learning_a_style_is_for_one_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit) as ended:
        main(["learn", "waves", "--name", "harbour", "--quiet"])
    assert ended.value.code == 2
    assert "one process" in capsys.readouterr().err


@pytest.mark.parametrize("launcher", [as_torchrun, pytest.param(torchrun, marks=pytest.mark.slow)])
def test_one_of_the_processes_speaks_and_writes(
    launcher: Callable[..., list[tuple[int, str, str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name in ("photos/a.png", "photos/b.png", "paintings/waves.png"):
        Path(name).parent.mkdir(exist_ok=True)
        noise = Image.fromarray(random.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        noise.resize((80, 64), Image.Resampling.BICUBIC).save(name)
    Path("photos/broken.png").write_bytes(b"nothing")
    train = (
        "train",
        "bank",
        "--styles",
        "paintings",
        "--content",
        "photos",
        "--device",
        "cpu",
        "--seed",
        "5",
    )
    train += ("--steps", "2", "--batch", "1", "--crop", "32", "--precision", "float32", "-o")
    Path("run.py").write_text("from impasto.apps.cli.main import main; main()")
    ((code, out, err),) = launcher("run.py", *train, "together.safetensors")
    assert (code, out) == (0, "together.safetensors\n"), err
    for note in (
        "left out: photos/broken.png",
        "1 styles, and",
        "step 0: held",
        "step 2/2",
        "step 2: held",
    ):
        assert err.count(note) == 1, err
    assert Path("together-sheet.png").is_file()
    assert len(Path("together.csv").read_text().splitlines()) == 1 + 2 + 2

    with pytest.raises(SystemExit) as ended:
        main([*train, "alone.safetensors", "--accumulate", "2", "--quiet"])
    assert (ended.value.code, capsys.readouterr().out) == (0, "alone.safetensors\n")
    together, alone = (load_file(f"{name}.safetensors") for name in ("together", "alone"))
    assert together.keys() == alone.keys()
    for name, tensor in together.items():
        torch.testing.assert_close(
            tensor, alone[name], rtol=2e-3, atol=1e-4
        )  # two float16 numbers apart


if __name__ == "__main__":
    torch.set_num_threads(1)
    work(Path(sys.argv[1]))
    part()
