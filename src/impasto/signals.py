"""The signals that ask a process to end: Ctrl-C, a polite kill, a terminal that is gone."""

import os
import signal
import stat

__all__ = ["leave_terminal", "stopping"]


def stopping() -> tuple[signal.Signals, ...]:
    """SIGINT, SIGTERM and, where there is one, SIGHUP; not those that are ignored by now, as
    `nohup` has it.
    """
    known = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", None))
    return tuple(each for each in known if each and signal.getsignal(each) != signal.SIG_IGN)


def leave_terminal(number: int) -> None:
    """After SIGHUP nothing can be said to the terminal, and trying is an error: say it to nobody."""
    if number != getattr(signal, "SIGHUP", None):
        return
    for stream in (1, 2):
        if stat.S_ISCHR(os.fstat(stream).st_mode):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
