"""Who takes leave, and who can't: nobody answers on a node that is lost."""

import pytest

from airshower.cluster.lost_nodes import OwnNodeLostError, taking_leave


@pytest.mark.parametrize(
    ("error", "goodbyes"), [(None, 1), (ValueError("a"), 1), (KeyboardInterrupt(), 1), (OwnNodeLostError("a"), 0)]
)
def test_goodbye_is_said_once_unless_nobody_is_there(error, goodbyes):
    said = []

    def end() -> None:
        with taking_leave(lambda: said.append("goodbye")):
            if error is not None:
                raise error

    if error is None:
        end()
    else:
        with pytest.raises(type(error)):
            end()
    assert len(said) == goodbyes
