"""What every long work yields: renderings, sheets and trainings alike."""

from collections.abc import Mapping

__all__ = ["Event"]


class Event:
    """Where a long work stands: `step` of `of` steps are made.

    `losses`: named values of the last step, `total` among them; empty where nothing is lowered.
    `note`: something the user should know; mostly empty. What else there is to see, a picture or
    figures of validation, is said by the kinds of event (dataclasses that derive from this).
    """

    step: int
    of: int
    losses: Mapping[str, float]
    note: str
