"""What several test files of the command line and of the pages share."""

from collections.abc import Iterator

import pytest

from airshower.platform.cli import main
from tests.platform.chromium import Tab, chromium_tab


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


@pytest.fixture(scope="module")
def tab(tmp_path_factory) -> Iterator[Tab]:
    """A tab of a headless Chromium, one for all tests of a file."""
    with chromium_tab(tmp_path_factory.mktemp("chromium") / "profile") as opened:
        yield opened
