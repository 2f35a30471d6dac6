"""The signals that ask a process to end: Ctrl-C, a polite kill, a terminal that is gone."""

import os
import signal
import stat

__all__ = ["leave_terminal", "stopping"]


def stopping() -> tuple[signal.Signals, ...]:
    """SIGINT, SIGTERM and, where there is one, SIGHUP, unless that is ignored, as `nohup` has it."""
    hangup = getattr(signal, "SIGHUP", None)
    heard = hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *((hangup,) if heard else ()))


def leave_terminal(number: int) -> None:
    """After SIGHUP nothing can be said to the terminal, and trying is an error: say it to nobody."""
    if number != getattr(signal, "SIGHUP", None):
        return
    for stream in (1, 2):
        if stat.S_ISCHR(os.fstat(stream).st_mode):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
