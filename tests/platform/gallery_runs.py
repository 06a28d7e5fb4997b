"""Run folders to show in a gallery, as a run leaves them: small real videos, records, a manifest."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from airshower.pipelines.manifest import SCHEMA

HOSTILE = """<script>document.title = "taken"</script><img src=x onerror="document.title='taken'"> & "quoted" \u96e8"""
OUTPUTS = {"input": "{}_input.mp4", "control_edge": "{}_control_edge.mp4", "video": "{}.mp4"}
SPEC = {
    "num_steps": 12,
    "guidance": 1,
    "seed": 7,
    "resolution": "144",
    "edge": {"control_weight": 0.5},
    "video_path": "/recordings/night/rgb.mp4",
}


def write_clip(path: Path, frames: int = 25) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(frames):
            picture = np.full((48, 64, 3), 40, np.uint8)
            picture[10:30, index : index + 20] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def write_record(folder: Path, name: str, outputs: Mapping[str, str], spec: Mapping, warnings: Sequence[str]) -> None:
    model = {"name": "tiny-transfer", "family": "transfer2.5", "weights": "w", "sha256": "0123456789abcdef"}
    said = {"name": name, "spec": {**SPEC, **spec}, "model": model, "warnings": list(warnings)}
    (folder / f"{name}.json").write_text(json.dumps({**said, "outputs": outputs, "seconds": {"denoise_s": 2.5}}))


def make_run(
    folder: Path, specs: Sequence[Mapping] = ({},), failed: int = 1, warnings: Mapping[int, Sequence[str]] | None = None
) -> Path:
    """A run folder with a clip of three videos for each spec (clip0, clip1, ...), then rows that failed (broken0, ...).

    Specs add to SPEC; clips took 4 s, 5 s and so on; `warnings` are by the clip's number.
    """
    folder.mkdir()
    write_clip(folder / "first.mp4")
    entries: list[dict[str, object]] = []
    for index, spec in enumerate(specs):
        name = f"clip{index}"
        outputs = {kind: path.format(name) for kind, path in OUTPUTS.items()}
        for path in outputs.values():
            os.link(folder / "first.mp4", folder / path)
        write_record(folder, name, outputs, spec, (warnings or {}).get(index, ()))
        prompt = spec.get("prompt", HOSTILE)
        entry = {"name": name, "status": "done", "video": f"{name}.mp4", "record": f"{name}.json", "prompt": prompt}
        shape = {"frames": 25, "fps": 10.0, "height": 48, "width": 64, "chunks": 1}
        seconds = {"seconds_total": 4.0 + index, "seconds_prepare": 1.0, "seconds_generate": 3.0 + index}
        entries.append({**entry, **shape, **seconds})
    for index in range(failed):
        error = {"error_stage": "prepare", "error_type": "MediaError", "error_message": f"<b>truncated</b> {HOSTILE}"}
        entries.append(
            {"name": f"broken{index}", "status": "failed", "source": "rows.jsonl:3", "prompt": "fog", **error}
        )
    table = pa.Table.from_pylist([{"index": index, **entry} for index, entry in enumerate(entries)], schema=SCHEMA)
    pq.write_table(table, folder / "manifest.parquet")
    return folder


def make_image_run(folder: Path) -> Path:
    """A run of one image with its input and a control, its files where a run puts them."""
    made = folder / "data" / "still-1"
    made.mkdir(parents=True)
    outputs = {kind: path.replace("mp4", "jpg").format("still") for kind, path in OUTPUTS.items()}
    for path in outputs.values():
        cv2.imwrite(str(made / path), np.full((48, 64, 3), 90, np.uint8))
    write_record(made, "still", outputs, {}, ())
    paths = {"video": "data/still-1/still.jpg", "record": "data/still-1/still.json"}
    entry = {"index": 0, "name": "still", "status": "done", **paths}
    shape = {"frames": 1, "fps": 24.0, "height": 48, "width": 64, "chunks": 1}
    pq.write_table(pa.Table.from_pylist([entry | shape], schema=SCHEMA), folder / "manifest.parquet")
    return folder
