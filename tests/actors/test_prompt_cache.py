"""Prompts that were encoded before: never by another encoder or for another network, and no row lost to the cache."""

import json
import re
import shutil

import numpy as np
import pytest

from airshower.actors.prompt_cache import require_writable
from airshower.actors.text_encoder import TextEncoder
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import transfer25_2b
from airshower.models.weights import WeightsError
from airshower.pipelines.media import write_video
from airshower.platform.cli import main
from tests.small_published import save_small_published, save_small_reason1


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    save_small_published(folder)
    return folder


@pytest.fixture
def weights(published, tmp_path):
    """A folder of weights of the test's own."""
    return shutil.copytree(published, tmp_path / "weights")


@pytest.fixture
def location(tmp_path):
    return tmp_path / "cache"


def encoder(weights, location, **kwargs):
    source = ModelSource(preset=transfer25_2b(), weights=str(weights), embedding_cache=location and str(location))
    return TextEncoder(source, **kwargs)


def test_a_second_run_makes_the_same_without_the_encoder(weights, location):
    direct = encoder(weights, None).encode("rain", ("edge",))
    first = encoder(weights, location)
    assert [first.encode("rain", ("edge",)), first.encode("rain", ("edge",)), first.encoded] == [direct, direct, 1]
    shutil.rmtree(weights / "reason1-7b")
    second = encoder(weights, location)
    assert (second.encode("rain", ("edge",)), second.encoded) == (direct, 0)
    with pytest.raises(WeightsError, match="no reason1-7b here: `airshower checkpoint download reason1-7b"):
        second.encode("snow", ("edge",))
    with pytest.raises(WeightsError, match="no reason1-7b here"):
        second.encode("rain", ("vis",))  # another network projects otherwise


def test_another_encoder_of_the_same_name_shares_nothing(weights, location):
    encoder(weights, location).encode("rain", ("edge",))
    tensors = weights / "reason1-7b" / "model.safetensors"
    data = bytearray(tensors.read_bytes())
    data[-1] ^= 64  # the exponent of the last weight
    tensors.write_bytes(data)
    changed = encoder(weights, location)
    changed.encode("rain", ("edge",))
    assert changed.encoded == 1
    shutil.rmtree(weights / "reason1-7b")
    with pytest.raises(WeightsError, match=r"knows 2 text encoders called reason1-7b, .* put it there"):
        encoder(weights, location)
    save_small_reason1(weights / "reason1-7b")
    back = encoder(weights, location)
    back.encode("rain", ("edge",))
    assert back.encoded == 0


def test_a_bucket_is_a_cache_too(bucket, weights):
    location = "s3://drives/prompts"
    direct = encoder(weights, location).encode("rain", ("edge",))
    shutil.rmtree(weights / "reason1-7b")
    require_writable(location)
    assert encoder(weights, location).encode("rain", ("edge",)) == direct
    keys = [entry["Key"] for entry in bucket.list_objects_v2(Bucket="drives")["Contents"]]
    assert sum(key.startswith("prompts/reason1-7b-") for key in keys) == 1
    with pytest.raises(OSError, match=r"embedding cache s3://nowhere/prompts can't be used .* --embedding-cache none"):
        require_writable("s3://nowhere/prompts")


def test_an_encoder_that_nobody_knows_is_missing(weights, location):
    shutil.rmtree(weights / "reason1-7b")
    with pytest.raises(WeightsError, match="no reason1-7b here"):
        encoder(weights, location)


def test_garbage_is_encoded_again(weights, location):
    direct = encoder(weights, location).encode("rain", ("edge",))
    (entry,) = location.glob("reason1-7b-*/*.npy")
    entry.write_bytes(b"<html>" * 1000)
    again = encoder(weights, location)
    assert (again.encode("rain", ("edge",)), again.encoded) == (direct, 1)
    assert encoder(weights, location).encode("rain", ("edge",)) == direct


def test_a_cache_that_fails_costs_a_warning_and_no_row(weights, location):
    warnings = []
    failing = encoder(weights, location, warn=warnings.append)
    location.write_text("in the way")
    embeddings = [failing.encode(prompt, ("edge",)) for prompt in ("rain", "snow")]
    direct = encoder(weights, None)
    assert embeddings == [direct.encode(prompt, ("edge",)) for prompt in ("rain", "snow")]
    assert len(warnings) == 1
    assert str(location) in warnings[0]


def generate(rows, weights, output, *flags):
    call = ["generate", str(rows), "--model", "transfer2.5-2b", "--weights", str(weights), "--output", str(output)]
    settings = ["--resolution", "144", "--num-steps", "2", "--num-video-frames-per-chunk", "5"]
    with pytest.raises(SystemExit) as stop:
        main([*call, *settings, "--device", "cpu", "--replicas", "1", *flags])
    return stop.value.code


@pytest.fixture
def rows(tmp_path):
    """One row, which an edge network makes."""
    folder = tmp_path / "rows"
    folder.mkdir()
    frames = np.random.default_rng(0).integers(0, 255, (5, 144, 256, 3), np.uint8)
    write_video(folder / "in.mp4", frames, 10)
    (folder / "a.json").write_text(json.dumps({"prompt": "rain", "video_path": "in.mp4", "edge": {}}))
    return folder


@pytest.mark.cluster
@pytest.mark.usefixtures("cluster")
def test_the_command_does_without_the_encoder_for_known_prompts(rows, weights, tmp_path, capsys):
    assert generate(rows, weights, tmp_path / "first") == 0
    shutil.rmtree(weights / "reason1-7b")
    (rows / "b.json").write_text((rows / "a.json").read_text().replace("rain", "snow"))
    assert generate(rows, weights, tmp_path / "second") == 1
    assert re.search(r"1 done, 1 failed .*\n +failed in text: b: .*no reason1-7b here", capsys.readouterr().out)
    first, second = (json.loads((tmp_path / run / "a.json").read_text()) for run in ("first", "second"))
    assert first["frames_sha256"] == second["frames_sha256"]
    assert generate(rows, weights, tmp_path / "third", "--embedding-cache", "none") == 2


def test_a_cache_that_cant_be_used_is_one_line_before_anything_starts(rows, weights, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert generate(rows, weights, tmp_path / "run", "--embedding-cache", str(tmp_path / "file" / "cache")) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "run" / "manifest.parquet").exists()
