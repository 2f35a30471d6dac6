"""Encoders that a training learns from: copies in its precision, and who of several teaches what."""

import copy
import dataclasses
from collections.abc import Iterable, Sequence

import torch

from impasto.errors import ImpastoError
from impasto.networks.encoder import Architecture, Encoder

__all__ = ["assign", "in_precision", "like"]


def in_precision(encoder: Encoder, precision: str) -> Encoder:
    """A copy for a run, which must not depend on how the encoder was loaded, nor move it elsewhere."""
    return copy.deepcopy(encoder).to(torch.bfloat16 if precision == "bfloat16" else torch.float32)


def like(
    architecture: Architecture, teachers: Sequence[Encoder], layers: Iterable[str]
) -> Architecture:
    """`architecture`, as wide at `layers` as the teachers that will teach them.

    Raises `ImpastoError` for a layer that no teacher has.
    """
    widths: dict[str, int] = {}
    for teacher, some in _lessons(teachers, layers):
        widths |= _widths(teacher, some)
    return dataclasses.replace(
        architecture,
        layers=tuple(
            dataclasses.replace(each, width=widths.get(each.name, each.width))
            for each in architecture.layers
        ),
    )


def _lessons(
    teachers: Sequence[Encoder], layers: Iterable[str]
) -> list[tuple[Encoder, tuple[str, ...]]]:
    """Who teaches what: each layer is with the first teacher that has it."""
    lessons: list[list[str]] = [[] for _ in teachers]
    for layer in layers:
        able = [
            lesson
            for teacher, lesson in zip(teachers, lessons, strict=True)
            if layer in teacher.layers
        ]
        if not able:
            raise ImpastoError(f"no teacher has the layer {layer}; add one that does")
        able[0].append(layer)
    return [(teacher, tuple(some)) for teacher, some in zip(teachers, lessons, strict=True) if some]


def _widths(teacher: Encoder, layers: Iterable[str]) -> dict[str, int]:
    """Layer -> channels, as the teacher is read: through its heads where it has them."""
    heads = dict(teacher.architecture.heads)
    return {layer: heads.get(layer, teacher.architecture.widths[layer]) for layer in layers}


def assign(
    teachers: Sequence[Encoder], layers: Iterable[str], architecture: Architecture
) -> tuple[tuple[Encoder, tuple[str, ...]], ...]:
    """Each teacher with the layers it teaches: a layer is with the first teacher that has it.

    Raises `ImpastoError` for a layer that no teacher has, or that is not as wide as the student's.
    """
    lessons = _lessons(teachers, layers)
    for teacher, some in lessons:
        for layer, theirs in _widths(teacher, some).items():
            ours = architecture.widths[layer]
            if theirs != ours:
                raise ImpastoError(
                    f"{layer} has {theirs} channels in {teacher.name} and {ours} in the student; "
                    "use a teacher of the student's widths, or do not match this layer"
                )
    return tuple(lessons)  # in a list a module would take them for its own, and save them
