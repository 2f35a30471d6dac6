"""Processes forked from one that has computed: a `fork`ed pool works, on one thread a process."""

import functools
import os

__all__ = ["survive_forks"]


@functools.cache
def survive_forks() -> None:
    """Called before the first computation: whatever is forked from this process computes on one
    thread.

    A fork copies the thread that calls it and no other. A child that shares work out among OpenMP's
    threads, as PyTorch does, would wait for ever for those that its parent had; on one thread there
    is nothing to wait for. Call `torch.set_num_threads` in the child for another number, where the
    parent never computed on more than one. Processes that are spawned are not touched.
    """
    if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
        os.register_at_fork(after_in_child=_one_thread)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
