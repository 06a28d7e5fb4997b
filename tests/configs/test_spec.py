"""The row format accepts the published fields, refuses the rest and explains itself."""

import jsonschema
import pytest
from pydantic import ValidationError

from airshower.configs.presets import preset
from airshower.configs.row_formats import field_type, fields_of, spec_schema
from airshower.configs.spec import ClipSpec

ROW = {"name": "clip", "prompt": "a street", "video_path": "/v.mp4", "edge": {}}


def test_open_settings_come_from_the_preset_and_given_ones_stay():
    spec = ClipSpec.model_validate(ROW | {"guidance": 5}).resolved(preset("tiny-transfer"))
    assert (spec.guidance, spec.num_steps, spec.resolution, spec.num_video_frames_per_chunk) == (5, 12, "144", 33)
    assert spec.resolved(preset("tiny-transfer")) == spec


def test_published_models_keep_the_inputs_size_unless_told_not_to():
    sizes = [
        ClipSpec.model_validate(ROW | given).resolved(preset(model)).keep_input_resolution
        for model in ("tiny-transfer", "transfer2.5-2b")
        for given in ({}, {"keep_input_resolution": True}, {"keep_input_resolution": False})
    ]
    assert sizes == [False, True, False, True, True, False]


def test_controls_keep_the_published_order():
    spec = ClipSpec.model_validate(ROW | {"seg": {"control_path": "/s.mp4"}, "vis": {}})
    assert list(spec.controls) == ["edge", "vis", "seg"]


@pytest.mark.parametrize(
    "change",
    [
        {"promt": "a street"},
        {"prompt_path": "/p.txt"},
        {"prompt": None},
        {"prompt": ""},
        {"edge": None},
        {"video_path": None},
        {"guidance": 8},
        {"guidance": 3.0},
        {"seed": "3"},
        {"seed": True},
        {"seed": 2**32},
        {"resolution": "144p"},
        {"num_video_frames_per_chunk": 32},
        {"sigma_max": "80"},
        {"name": "../clip"},
        {"name": ""},
        {"edge": {"control_weight": 1.01}},
        {"edge": {"control_weight": "1"}},
        {"edge": {"control_weight": float("nan")}},
        {"edge": {"preset_blur_strength": "low"}},
        {"edge": {"mask_path": "/m.mp4", "mask_prompt": "cars"}},
        {"guided_generation_step_threshold": 25},
        {"image_context_path": "/i.png", "context_frame_index": 1},
        {"image_context_path": "/i.png", "vis": {}},
        {"seg": {"control_path": "/s.mp4", "control_prompt": "cars"}},
        {"video_path": None, "edge": {"control_path": "/e.mp4", "mask_prompt": "cars"}},
    ],
    ids=str,
)
def test_what_the_row_format_refuses(change):
    ClipSpec.model_validate(ROW)
    with pytest.raises(ValidationError):
        ClipSpec.model_validate(ROW | change)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"depth": {}}, "depth without control_path"),
        ({"edge": {"mask_prompt": "cars"}}, "edge.mask_prompt"),
        ({"image_context_path": "/i.png"}, "image_context_path"),
    ],
)
def test_what_a_model_cannot_serve_is_refused_by_name(change, field):
    spec = ClipSpec.model_validate(ROW | change)
    with pytest.raises(ValueError, match=rf"{field}: needs .* which tiny-transfer lacks"):
        spec.resolved(preset("tiny-transfer"))


def test_what_needs_annotators_is_served_beside_them():
    spec = ClipSpec.model_validate(
        ROW | {"depth": {}, "seg": {"control_prompt": "cars"}, "vis": {"mask_prompt": "sky"}}
    )
    spec.resolved(preset("tiny-transfer").with_annotators("/networks"))
    spec.resolved(preset("transfer2.5-2b"))
    assert spec.needs_annotator
    assert (spec.annotated_controls, spec.mask_prompts) == (("depth", "seg"), {"vis": "sky"})
    assert not ClipSpec.model_validate(ROW).needs_annotator


def test_schema_accepts_and_refuses_like_the_model():
    schema = spec_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema).is_valid
    assert check({key: value for key, value in ROW.items() if key != "name"})
    assert check(ROW | {"edge": {"control_weight": 0.5, "preset_edge_threshold": "low"}, "guidance": 3})
    for wrong in ({"promt": "x"}, {"guidance": 9}, {"seed": "3"}, {"edge": {"control_weight": 2}}, {"vis": {"x": 1}}):
        assert not check(ROW | wrong)


def test_every_field_explains_itself_and_its_open_default():
    for control in (None, "edge", "vis", "depth", "seg", "front_wide"):
        for name, field in fields_of(control).items():
            assert field.description, name
    for name in ("negative_prompt", "num_video_frames_per_chunk", "resolution", "num_steps", "guidance"):
        assert "default: the model's" in ClipSpec.model_fields[name].description


def test_field_types_by_dotted_name():
    assert field_type("seed") is int
    assert field_type("edge.control_weight") is float
    assert field_type("edge.preset_blur_strength") is None
    assert field_type("promt") is None
