"""Turns every call of every reference case below PARITY_ROOT (default: the cases beside this file) into a test."""

import os
from pathlib import Path

import pytest

from tests.parity.case import find_calls


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "reference_call" in metafunc.fixturenames:
        root = Path(os.environ.get("PARITY_ROOT", Path(__file__).parent / "cases"))
        metafunc.parametrize("reference_call", find_calls(root), ids=str)
