"""The processes that train together, on one machine or several, and Lightning Fabric.

A launcher starts the same command once for each of them, and says so in the environment.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from impasto.errors import ImpastoError

__all__ = ["Processes", "from_first", "make_fabric", "part", "processes"]

_PRECISIONS: dict[str, Any] = {"bfloat16": "bf16-mixed", "float32": "32-true"}  # in Fabric's words

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process is number `rank` of `world` that train together, `here` of them on each machine.

    The first, of rank 0, is the one that speaks and writes.
    """

    rank: int = 0
    world: int = 1
    here: int = 1


def processes() -> Processes:
    """As a launcher says: torchrun (by it `fabric run`) or SLURM's srun; without one, one process."""
    env = os.environ
    if "TORCHELASTIC_RUN_ID" in env:
        return Processes(int(env["RANK"]), int(env["WORLD_SIZE"]), int(env["LOCAL_WORLD_SIZE"]))
    # A job of these names is someone's shell, which Fabric does not take for a launcher either.
    if "SLURM_NTASKS" in env and env.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        world = int(env["SLURM_NTASKS"])
        return Processes(
            int(env.get("SLURM_PROCID", 0)),
            world,
            min(world, int(env.get("SLURM_NTASKS_PER_NODE", 1))),
        )
    return Processes()


def make_fabric(device: str, precision: str) -> Any:
    """Lightning Fabric with a device for each of the processes, which wait here for one another.

    `device`: `auto`, `cpu`, `cuda` or `mps`; `precision`: `bfloat16` or `float32`. Raises
    `ImpastoError` if Fabric is not installed, or the devices or processes cannot be had. The only
    place that imports it.
    """
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.strategies.ddp import DDPStrategy
        from lightning_fabric.strategies.single_device import SingleDeviceStrategy
        from lightning_fabric.utilities.exceptions import MisconfigurationException
    except ImportError as error:
        raise ImpastoError(
            'training needs Lightning Fabric: pip install "impasto[train]"'
        ) from error
    logging.getLogger("lightning_fabric").setLevel(
        logging.WARNING
    )  # the records say what is worth telling
    these = processes()
    # What `fabric run` was told, Fabric reads from the environment; it refuses to be told again.
    told = os.environ.get("LT_CLI_USED") == "1"
    shape: dict[str, Any] = (
        {} if told else {"devices": these.here, "num_nodes": these.world // these.here}
    )
    try:
        fabric = Fabric(accelerator=device, precision=_PRECISIONS[precision], **shape)
        if these.world > 1 and not told:
            fabric.launch()
    except (ImportError, RuntimeError, ValueError, MisconfigurationException) as error:
        if told or these.world > 1:
            raise ImpastoError(
                f"training cannot begin here as the launcher says: {error}"
            ) from error
        raise ImpastoError(
            f"the device {device!r} cannot be used here; choose auto or cpu"
        ) from error
    if fabric.world_size != these.world or not isinstance(
        fabric.strategy, (DDPStrategy, SingleDeviceStrategy)
    ):
        raise ImpastoError(
            "training takes the strategy ddp and one device for each process; tell the launcher so"
        )
    return fabric


def from_first(fabric: Any, work: Callable[[], T]) -> T:
    """What `work` returns in the first process, which alone calls it; its `ImpastoError` in all."""
    found: Any = None
    if fabric.is_global_zero:
        try:
            found = work()
        except ImpastoError as error:
            found = error
    found = fabric.broadcast(found)
    if isinstance(found, ImpastoError):
        raise found
    result: T = found
    return result


def part() -> None:
    """Close the connection between processes now, not while the interpreter comes down.

    There its threads may still run when what they belong to is gone, and the process ends in an
    abort.
    """
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()
