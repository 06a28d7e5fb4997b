"""Rows from an S3 bucket, over HTTP against a local server that speaks S3."""

import json

import pytest

from airshower.configs.presets import preset
from airshower.pipelines.rows import InputError, read_rows

TINY = preset("tiny-transfer")


def test_a_bucket_is_read_like_a_folder(bucket):
    def put(key, data):
        bucket.put_object(Bucket="drives", Key=key, Body=data)

    row = {"prompt": "a street", "video_path": "../videos/in.mp4", "edge": {}}
    put("videos/in.mp4", b"video")
    put("videos/zero.mp4", b"")
    put("specs/", b"")  # the marker that consoles make for a folder
    put("specs/a.json", json.dumps(row))
    put("specs/b.json", json.dumps(row | {"video_path": "nope.mp4"}))
    put("specs/c.json", json.dumps(row | {"video_path": "s3://drives/videos/zero.mp4"}))
    put("specs/deeper/camera.json", "{}")
    rows = read_rows(["s3://drives/specs"], overrides={}, preset=TINY)
    assert [row.name for row in rows] == ["a", "b", "c"]
    assert rows[0].spec.video_path == "s3://drives/videos/in.mp4"
    assert "video_path: s3://drives/specs/nope.mp4 does not exist" in rows[1].error.message
    assert "video_path: s3://drives/videos/zero.mp4 is empty" in rows[2].error.message
    (row,) = read_rows(["s3://drives/specs/a*.json"], overrides={}, preset=TINY)
    assert row.source == "s3://drives/specs/a.json"
    with pytest.raises(InputError, match=r"s3://nowhere/specs does not exist"):
        read_rows(["s3://nowhere/specs"], overrides={}, preset=TINY)
