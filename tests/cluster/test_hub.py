"""What the library raises becomes one line; fetching itself is tested through the command, against a server."""

import errno

import pytest

from airshower.cluster.hub import HubError, _in_one_line
from airshower.configs.published import published


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "transfer2.5-2b-edge: the disk is full: make room"),
        (PermissionError(errno.EACCES, "Permission denied", "/weights/x"), "Permission denied: '/weights/x'"),
        (RuntimeError("Data processing error: no\nmore"), "can't be fetched: Data processing error: no"),
        (RuntimeError(), "can't be fetched: RuntimeError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_raised_becomes_one_line(raised, told):
    with pytest.raises(HubError) as caught, _in_one_line(published("transfer2.5-2b-edge")):
        raise raised
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mistake_in_the_program_is_not_hidden():
    with pytest.raises(KeyError), _in_one_line(published("transfer2.5-2b-edge")):
        raise KeyError("oops")
