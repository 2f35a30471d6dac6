"""What can go wrong that somebody can mend: one base class, and one class for each kind of remedy.

Everything a user can get wrong raises an `ImpastoError` whose message is one line and says what to
do. Messages name parameters as Python does, between backticks: `` `style_scale` must be between 0.1
and 4 ``. An application says them in its own words: the command line writes `--style-scale`.
Anything else that is raised is a bug and keeps its traceback.
"""

__all__ = [
    "DivergedError",
    "ImpastoError",
    "InputError",
    "OptionError",
    "WeightsError",
    "kind_of",
    "printable",
]


def kind_of(value: object) -> str:
    """What to call a value that is not what was wanted: `a dict`, `an Encoder`."""
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def printable(text: str) -> str:
    """`text` with control characters escaped, for text that came from elsewhere: a file, a name."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class ImpastoError(ValueError):
    """A mistake the user can mend; its message is one line and says how.

    Whatever is filled into it, such as a file's name, has its control characters escaped.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))


class InputError(ImpastoError):
    """A picture, a file or a name that cannot be used; give another."""


class OptionError(ImpastoError):
    """A setting out of its range, at odds with another one, or without effect in the method chosen."""


class WeightsError(ImpastoError):
    """Weights of a network that are missing, damaged, or belong to another network."""


class DivergedError(ImpastoError):
    """An optimisation whose loss overflows again and again; lower a weight or the learning rate."""
