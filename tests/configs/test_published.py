"""The table of published weights agrees with itself and with the networks."""

import re

import pytest

from airshower.configs.networks_2b import published_networks
from airshower.configs.published import PUBLISHED, published


def test_names_are_unique_and_can_be_typed():
    assert all(name == one.name for name, one in PUBLISHED.items())
    assert all(re.fullmatch(r"[a-z0-9.-]+", name) for name in PUBLISHED)
    places = [(one.repo, one.path, one.revision) for one in PUBLISHED.values()]
    assert len(set(places)) == len(places)


def test_networks_are_those_that_are_built_here():
    named = {one.network for one in PUBLISHED.values()} - {None}
    assert named == set(published_networks())


@pytest.mark.parametrize("one", PUBLISHED.values(), ids=lambda one: one.name)
def test_a_place_is_a_repository_and_a_file_of_weights(one):
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", one.repo)
    assert one.path is None or re.fullmatch(r"[\w./*-]+\.(pt|pth)", one.path)
    assert one.revision == "main" or re.fullmatch(r"[0-9a-f]{7,40}", one.revision)


def test_a_wrong_name_gets_near_ones():
    with pytest.raises(ValueError, match=r"'transfer2\.5-2b-egde' is unknown: did you mean transfer2\.5-2b-edge"):
        published("transfer2.5-2b-egde")
    with pytest.raises(ValueError, match=r"'agibot' is unknown: did you mean transfer2\.5-2b-agibot-depth"):
        published("agibot")
    with pytest.raises(ValueError, match="'zzz' is unknown: airshower checkpoint list shows all"):
        published("zzz")
