"""Rows of several cameras: who is in, what each camera is made from, and what can't go together."""

import pytest
from pydantic import ValidationError

from airshower.configs.cameras import RIG, WAYMO, camera_ids
from airshower.configs.multiview_spec import MultiviewSpec
from airshower.configs.presets import PRESETS
from airshower.configs.row_formats import default_model, spec_of

MAPS = {name: {"control_path": f"/{name}.mp4"} for name in RIG}
ROW = {"name": "drive", "prompt": "a street", "num_conditional_frames": 0, **MAPS}
FILE = {"name": "drive", "prompt": "a street", "input_path": "/all.mp4"}


def test_the_kind_of_row_follows_from_its_fields():
    assert isinstance(spec_of(ROW), MultiviewSpec)
    assert (default_model(ROW), default_model(FILE | {"n_views": 7})) == ("tiny-multiview", "tiny-multiview")
    assert default_model({"edge": {}}) == "tiny-transfer"


def test_cameras_stand_in_the_rigs_order_and_keep_their_ids():
    spec = spec_of(
        {"name": "x", "prompt": "y", "num_conditional_frames": 0, "rear": MAPS["rear"], "cross_right": MAPS["rear"]}
    )
    assert spec.cameras == ("cross_right", "rear")
    assert camera_ids(spec.cameras) == (1, 3)


def test_five_cameras_of_one_file_are_waymos_unless_the_reference_is_asked_for():
    five = spec_of(FILE | {"n_views": 5})
    assert five.cameras == WAYMO
    assert camera_ids(five.cameras) == (4, 5, 0, 1, 2)
    assert five.prompts("street") == (None, None, "street", None, None)
    exact = spec_of(FILE | {"n_views": 5, "exact_reference": True})
    assert camera_ids(exact.cameras) == (0, 1, 2, 3, 4)
    assert exact.prompts("street") == ("street", None, None, None, None)


def test_the_prompt_is_for_the_front_camera_or_the_first_one():
    spec = spec_of(ROW).resolved(PRESETS["transfer2.5-2b-multiview"])
    assert spec.prompts("street") == ("street", *[" "] * 6)
    assert spec.negative_prompts()[0].startswith("The video captures a series of frames")
    rear = spec_of(
        {"name": "x", "prompt": "y", "num_conditional_frames": 0, "rear": MAPS["rear"], "front_tele": MAPS["rear"]}
    )
    assert rear.prompts("street") == ("street", None)
    own = ROW | {"rear": MAPS["rear"] | {"prompt": "a wall"}, "negative_prompt": "rain"}
    spec = spec_of(own).resolved(PRESETS["transfer2.5-2b-multiview"])
    assert spec.prompts("street") == ("street", " ", " ", "a wall", " ", " ", " ")
    assert spec.negative_prompts() == ("rain", " ", " ", "rain", " ", " ", " ")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_conditional_frames": 2}, "use 0, 1, 5"),
        ({"num_conditional_frames": 1}, "front_wide.input_path is missing: give it, or set num_conditional_frames"),
        ({"control_weight": 1.5}, "less than or equal to 1"),
        ({"num_chunks": 3}, "num_chunks is for longer clips: set enable_autoregressive"),
        ({"rear": {}}, "rear: has neither control_path nor input_path"),
        ({"rear": {"input_path": "/rear.mp4"}}, "rear.control_path is missing, and front_wide has one"),
        ({"rear": MAPS["rear"] | {"num_conditional_frames_per_view": 1, "input_path": "/r.mp4"}}, "give all cameras"),
        ({"n_views": 7}, "input_path and n_views: one needs the other"),
        ({"n_views": 7, "input_path": "/all.mp4"}, "input_path has the videos of all cameras"),
        ({"num_video_frames_per_view": 28}, "use 29"),
        ({"aspect_ratio": "2:1"}, "use one of 16:9"),
        ({"edge": {}}, "Extra inputs"),
    ],
)
def test_what_can_not_be_made_says_why(wrong, message):
    with pytest.raises(ValidationError, match=message.replace("28", "28")):
        spec_of(ROW | wrong)


@pytest.mark.parametrize(
    ("model", "row", "message"),
    [
        ("tiny-transfer", ROW, "front_wide: tiny-transfer makes clips of one camera"),
        ("predict2-2b-multiview", ROW, "front_wide.control_path: predict2-2b-multiview takes no HD maps"),
        ("transfer2.5-2b-multiview", FILE | {"n_views": 7}, "transfer2.5-2b-multiview needs HD maps"),
        (
            "tiny-multiview",
            ROW | {"enable_autoregressive": True, "chunk_overlap": 17},
            "chunk_overlap 17: a chunk has 17",
        ),
        (
            "tiny-multiview",
            {"name": "x", "prompt": "y", "edge": {}, "video_path": "/v.mp4"},
            "tiny-multiview makes clips of several",
        ),
    ],
)
def test_a_row_for_another_model_says_so(model, row, message):
    with pytest.raises(ValueError, match=message):
        spec_of(row).resolved(PRESETS[model])
