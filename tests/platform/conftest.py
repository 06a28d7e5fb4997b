"""What several test files of the command line share."""

import pytest

from airshower.platform.cli import main


@pytest.fixture
def call(capsys, monkeypatch):
    """Runs a command line in this process: (exit code, stdout, stderr)."""
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        assert isinstance(end.value.code, int)
        return end.value.code, *capsys.readouterr()

    return run
