"""A row that doesn't fit is told what would fit, and it is true."""

import re

import pytest

from airshower.configs.offload import parse_offload
from airshower.configs.presets import transfer25_2b
from airshower.models.memory import ClipShape, row_need
from airshower.models.model_memory import memory_without_weights
from airshower.models.room import NoRoomError, check_room, smaller_shapes

FULL = ClipShape(frames=93, height=704, width=1280)


@pytest.fixture(scope="module")
def model():
    return memory_without_weights(transfer25_2b(), ("edge",))


def said(model, there_gib, total_gib, offload=()):
    with pytest.raises(NoRoomError) as error:
        check_room(model, FULL, 1, offload, there_gib=there_gib, total_gib=total_gib)
    return str(error.value)


def test_what_fits_is_let_through(model):
    need = row_need(model, FULL, 1)
    assert check_room(model, FULL, 1, (), there_gib=need.room_gib, total_gib=141) == need
    assert re.match(r"needs \d+\.\d GiB of GPU memory \(1280x704, 93 frames\), there are", said(model, need.gib, 141))


@pytest.mark.parametrize(("there_gib", "total_gib"), [(9.5, 24.0), (11.0, 12.0), (7.0, 24.0), (6.5, 8.0), (3.0, 6.0)])
@pytest.mark.parametrize("offload", [(), ("dit",)])
def test_remedies_fit(model, there_gib, total_gib, offload):
    message = said(model, there_gib, total_gib, offload)
    remedies = re.findall(r"(?:--resolution (\w+))?(?: with )?(?:--offload ([\w,]+))?(?: or | would fit)", message)
    assert remedies
    shapes = dict(smaller_shapes(FULL)) | {"": FULL}
    for resolution, parts in remedies:
        offloaded = parse_offload([parts]) if parts else offload
        text_is_beside = total_gib - there_gib >= model.text.gib
        assert "text" not in offloaded or text_is_beside
        freed = model.text.gib - model.text.offloaded_gib if "text" in offloaded else 0
        need = row_need(model, shapes[resolution], 1, offloaded)
        assert need.room_gib <= there_gib + freed


def test_a_gpu_that_is_too_small_for_anything(model):
    assert "no smaller size and no --offload would fit" in said(model, 0.5, 2.0)


@pytest.mark.parametrize(
    ("words", "parts"),
    [(["dit", "text"], ("text", "dit")), (["dit, autoencoder,dit"], ("autoencoder", "dit")), ([], ())],
)
def test_parts_are_named_in_any_way(words, parts):
    assert parse_offload(words) == parts


@pytest.mark.parametrize("word", ["transformer", "", "dit,"])
def test_unknown_parts_are_refused(word):
    with pytest.raises(ValueError, match="is unknown: use text, autoencoder, dit, one or more"):
        parse_offload([word])
