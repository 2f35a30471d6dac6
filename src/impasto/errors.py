"""The one exception that means "you can do something about this".

Everything a user can get wrong (a broken file, an unknown layer, an option a method cannot honour) raises
`ImpastoError` with one line that says what to do. The command line prints that line and exits with code 2;
anything else is a bug and keeps its traceback.
"""

__all__ = ["ImpastoError"]


class ImpastoError(ValueError):
    """A mistake the user can mend; its message is one line and says how."""
