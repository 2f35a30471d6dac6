"""What the command asks of its process: seen from outside, in a process of its own."""

import os
import subprocess
import sys

import pytest

from impasto.__main__ import main

SHOWN = "import os; from impasto.apps.cli import main; main.app = lambda **_: 0; {}main.main([])"


@pytest.mark.parametrize(
    ("before", "asked", "found"),
    [
        ("", None, "passive"),
        ("", "active", "active"),  # what the user says stands
        ("import torch; ", None, "None"),  # too late to be heard; it must not look otherwise
    ],
)
def test_threads_wait_passively_unless_the_user_says_otherwise(
    before: str, asked: str | None, found: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if asked is not None:
        environment["OMP_WAIT_POLICY"] = asked
    code = (
        "import atexit; atexit.register(lambda: print(os.environ.get('OMP_WAIT_POLICY'))); "
        + before
    )
    result = subprocess.run(
        [sys.executable, "-c", SHOWN.format(code)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == found


def test_a_library_that_is_imported_changes_nothing() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    code = "import os, impasto; impasto.load_encoder; print(os.environ.get('OMP_WAIT_POLICY'))"
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "None"


def test_an_interrupt_while_it_loads_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "impasto.apps.cli.main":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "impasto.apps.cli.main", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capsys.readouterr().err) == (130, "interrupted\n")
