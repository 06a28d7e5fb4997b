"""The service as a user meets it: the real command in its own process, real HTTP, a gang of the tiny model."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from airshower.configs.gang_layout import GangLayout
from airshower.configs.messages import Row
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import tiny_transfer
from airshower.configs.spec import ClipSpec
from airshower.pipelines.generate import GenerateSettings, generate
from airshower.pipelines.media import read_video, write_video
from tests.pipelines.decoding.posing import listening, posing
from tests.platform.chromium import wait_until

pytestmark = pytest.mark.cluster

TIMEOUT_S = 120  # of one wait; a loaded machine starts Ray slowly
MIB = 1 << 20


class Service:
    """A running `airshower serve`."""

    def __init__(self, folder: Path, weights: Path, annotators: Path) -> None:
        self.clips = folder / "clips"
        self.weights = weights
        self.clips.mkdir()
        y, x = np.mgrid[0:144, 0:144]
        frames = np.stack([np.stack([x + 9 * t, y, x ^ y], axis=-1) % 256 for t in range(5)]).astype(np.uint8)
        write_video(self.clips / "input.mp4", frames, 10)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        options = {
            "--weights": weights,
            "--annotators": annotators,
            "--work-dir": folder / "work",
            "--port": self.port,
            "--max-replicas": 1,
            "--gang": 2,
            "--allow-path": self.clips,
            "--max-queued": 2,
            "--max-upload-mib": 1,
            "--device": "cpu",
        }
        command = [
            sys.executable,
            "-m",
            "airshower",
            "serve",
            *(str(word) for pair in options.items() for word in pair),
        ]
        # Its own session: what it leaves behind can be told from everything else on the machine.
        self.command, self.work = command, folder / "work"
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=self.clips
        )
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=TIMEOUT_S)
        self.health: list[tuple[int, str]] = []  # all that was answered, one after the other, without repetitions
        threading.Thread(target=self._ask_for_health, daemon=True).start()

    def _ask_for_health(self) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=TIMEOUT_S) as http:
            while self.process.poll() is None:
                with suppress(httpx.TransportError):  # it doesn't listen yet, or no longer
                    answer = http.get("/healthz")
                    found = answer.status_code, answer.json()["status"]
                    if found not in self.health[-1:]:
                        self.health.append(found)
                time.sleep(0.01)

    def post(self, **spec) -> httpx.Response:
        defaults = {"prompt": "rain", "edge": {}, "num_steps": 2, "video_path": str(self.clips / "input.mp4")}
        return self.http.post("/v1/videos", json=defaults | spec)

    def follow(self, video_id: str, until=("done", "failed")) -> list[dict]:
        """All states seen until one of `until`."""
        seen = [self.http.get(f"/v1/videos/{video_id}").json()]
        deadline_s = time.monotonic() + TIMEOUT_S
        while seen[-1]["status"] not in until:
            assert time.monotonic() < deadline_s, seen[-1]
            time.sleep(0.1)
            seen.append(self.http.get(f"/v1/videos/{video_id}").json())
        return seen

    def upload(self, spec=None, **files) -> httpx.Response:
        row = {"prompt": "rain", "edge": {}, "num_steps": 2} | (spec or {})
        return self.http.post("/v1/videos", data={"spec": json.dumps(row)}, files=files)

    def half_an_upload(self) -> socket.socket:
        """The connection of a client that has sent a part of its video."""
        wire = socket.create_connection(("127.0.0.1", self.port))
        part = 'Content-Disposition: form-data; name="video"\r\n\r\n'
        head = "POST /v1/videos HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=cut\r\n"
        before = self.folders()
        wire.sendall(f"{head}Content-Length: 100000\r\n\r\n--cut\r\n{part}".encode() + bytes(70_000))
        wait_until(lambda: len(self.folders()) > len(before), "the upload's folder")
        return wire

    def folders(self) -> set[str]:
        return {path.name for path in (self.work / "videos").iterdir()}

    def processes(self) -> list[str]:
        """Command lines of all live processes of the service's session."""
        lines = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
                if int(session) == self.process.pid and state != "Z":
                    lines.append(f"{stat.parent.name} {(stat.parent / 'cmdline').read_text()}")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has just ended
        return lines


@pytest.fixture(scope="module")
def service(tmp_path_factory, random_model, annotators):
    service = Service(tmp_path_factory.mktemp("service"), random_model, annotators)
    try:
        assert "is ready at" in service.process.stdout.readline()
        yield service
    finally:
        if service.process.poll() is None:
            os.killpg(service.process.pid, signal.SIGKILL)


def test_healthy_once_a_replica_is_ready(service):
    health = service.http.get("/healthz")
    assert health.status_code == 200
    assert health.json() == {"status": "ready", "ready": True, "replicas": 1, "unfinished": 0}
    wait_until(lambda: len(service.health) > 1, "the next question after its health")
    assert service.health == [(503, "starting"), (200, "ready")]  # from the first moment on
    (model,) = service.http.get("/v1/models").json()["models"]
    assert (model["name"], model["controls"]) == ("tiny-transfer", ["edge", "vis", "depth", "seg"])


@pytest.mark.usefixtures("cluster")
def test_posted_row_becomes_the_video_that_the_batch_pipeline_makes(service, tmp_path):
    answer = service.post(name="street", num_steps=20, seed=7)
    assert answer.status_code == 202, answer.text
    queued = answer.json()
    assert queued["status"] == "queued"
    early = service.http.get(f"{queued['links']['self']}/content")
    assert early.status_code == 409
    assert early.json()["error"].endswith("ask again when it is done")

    seen = service.follow(queued["id"])
    done = seen[-1]
    assert done["status"] == "done", done["error"]
    progress = [video["progress"] for video in seen]
    assert progress == sorted(progress)
    assert any(0 < fraction < 1 for fraction in progress)
    assert progress[-1] == 1

    batch = tmp_path / "batch"
    row = Row(index=0, name="street", source="test", spec=ClipSpec.model_validate(done["spec"]), prompt="rain")
    settings = GenerateSettings(
        source=ModelSource(preset=tiny_transfer(), weights=str(service.weights)),
        device="cpu",
        replicas=1,
        gang=GangLayout(token_ranks=2),
    )
    assert generate([row], str(batch), settings).done == 1
    assert done["frames_sha256"] == json.loads((batch / "street.json").read_text())["frames_sha256"]

    content = service.http.get(done["links"]["content"])
    assert content.headers["content-type"] == "video/mp4"
    (tmp_path / "got.mp4").write_bytes(content.content)
    got, expected = (read_video(str(path)) for path in (tmp_path / "got.mp4", batch / "street.mp4"))
    assert np.array_equal(got.frames, expected.frames)
    assert (len(got.frames), got.fps) == (5, 10)
    assert service.http.get(done["links"]["control_edge"]).content[4:8] == b"ftyp"
    record = service.http.get(done["links"]["record"]).json()
    assert (record["name"], record["frames_sha256"]) == ("street", done["frames_sha256"])
    assert service.http.get("/v1/videos").json()["videos"][0]["id"] == done["id"]

    assert service.http.delete(done["links"]["self"]).status_code == 204
    assert service.http.get(done["links"]["self"]).status_code == 404


def test_uploads_are_used_and_their_names_are_not(service):
    video = (service.clips / "input.mp4").read_bytes()
    spec = {"prompt": "snow", "edge": {"control_weight": 0.5}, "vis": {}, "num_steps": 2}
    files = {"video": ("../../../etc/evil.mp4", video), "edge": ("C:\\edge.mp4", video)}
    answer = service.http.post("/v1/videos", data={"spec": json.dumps(spec)}, files=files)
    assert answer.status_code == 202, answer.text
    done = service.follow(answer.json()["id"])[-1]
    assert done["status"] == "done", done["error"]
    assert done["spec"]["name"] == done["id"]
    assert done["spec"]["edge"]["control_path"] == "edge.mp4"
    assert {"content", "control_edge", "control_vis", "record"} < set(done["links"])


def test_what_annotators_add_comes_with_the_video(service):
    posted = service.post(depth={}, edge={"mask_prompt": "car"}, max_frames=2, num_steps=1).json()
    done = service.follow(posted["id"])[-1]
    assert done["status"] == "done", done["error"]
    assert done["seconds"]["annotate"] > 0
    for link in ("control_depth", "mask_edge"):
        assert service.http.get(done["links"][link]).content[4:8] == b"ftyp"
    nothing = service.post(edge={"mask_prompt": "..."}).json()
    failed = service.follow(nothing["id"])[-1]
    assert (failed["error"]["stage"], failed["error"]["message"][:16]) == ("annotate", "edge.mask_prompt")


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ({"guidance": 9}, "guidance 9 "),
        ({"promt": "rain"}, "did you mean 'prompt'"),
        ({"context_frame_index": 2}, "context_frame_index: needs style-image, which tiny-transfer lacks"),
        ({"video_path": "/etc/hostname"}, "video_path: '/etc/hostname' is a path this server may not read"),
        ({"video_path": "https://host/a.mp4"}, "video_path: 'https://host/a.mp4' is a URL this server may not read"),
        ({"prompt": None, "prompt_path": "/etc/hostname"}, "prompt_path: '/etc/hostname' is a path this server"),
    ],
)
def test_bad_row_is_refused_with_one_line(service, spec, line):
    answer = service.post(**spec)
    assert answer.status_code == 422
    assert line in answer.json()["error"]
    assert "\n" not in answer.json()["error"]
    assert "request.json" not in answer.json()["error"]


def test_an_image_becomes_an_image(service, tmp_path):
    cv2.imwrite(str(tmp_path / "in.png"), np.full((144, 144, 3), 90, np.uint8))
    spec = json.dumps({"prompt": "rain", "edge": {}, "num_steps": 2, "keep_input_resolution": True})
    with (tmp_path / "in.png").open("rb") as picture:
        answer = service.http.post("/v1/videos", data={"spec": spec}, files={"video": picture})
    done = service.follow(answer.json()["id"])[-1]
    assert done["status"] == "done", done["error"]
    for link in ("content", "control_edge"):
        image = service.http.get(done["links"][link])
        assert image.headers["content-type"] == "image/jpeg"
        assert image.headers["content-disposition"].endswith('.jpg"')
        assert cv2.imdecode(np.frombuffer(image.content, np.uint8), cv2.IMREAD_COLOR).shape == (144, 144, 3)


def test_a_work_folder_is_for_one_service(service):
    other = [str(service.port + 1) if word == str(service.port) else word for word in service.command]
    refused = subprocess.run(other, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert refused.returncode == 2
    assert refused.stderr == (
        f"airshower: {service.work} is used by another service: stop that one, or give another --work-dir\n"
    )


def test_a_text_that_poses_as_a_video_shows_nobody_elses_file(service):
    mine = service.upload(video=(service.clips / "input.mp4").read_bytes()).json()["id"]
    service.follow(mine)
    upload = service.work / "videos" / mine / "uploads" / "video.mp4"
    (service.clips / "secret.txt").write_text("of the server\n" * 400)
    with listening() as (port, spoken_to):
        texts = posing(upload, port)
        texts |= {"server": b"ffconcat version 1.0\nfile secret.txt\n"}  # seen from the service's working folder
        texts |= {"client": f"ffconcat version 1.0\nfile '{os.path.relpath(upload, service.clips)}'\n".encode()}
        seen = [path.stat().st_atime_ns for path in (upload, service.clips / "secret.txt")]
        for kind, part in (("server", "video"), ("client", "video"), ("sdp", "edge"), ("hls", "mask_edge")):
            video = {} if part == "video" else {"video": (service.clips / "input.mp4").read_bytes()}
            failed = service.follow(service.upload(**video, **{part: texts[kind]}).json()["id"])[-1]
            assert failed["status"] == "failed"
            field = {"video": "video_path", "edge": "edge.control_path", "mask_edge": "edge.mask_path"}[part]
            assert failed["error"]["message"].startswith(f"{field}: {part}.mp4: is a list that names other files")
            service.http.delete(failed["links"]["self"])
        assert not spoken_to()
        assert [path.stat().st_atime_ns for path in (upload, service.clips / "secret.txt")] == seen
    service.http.delete(f"/v1/videos/{mine}")


def test_what_ends_early_leaves_no_file_and_no_process(service):
    before = service.folders()
    service.half_an_upload().close()
    wait_until(lambda: service.folders() == before, "the folder of a client that hung up to go")
    posted = service.post(edge=None, vis={}).json()  # torch, which it needs, takes its time
    wait_until(lambda: any("sandbox.child" in line for line in service.processes()), "the process that reads")
    assert service.http.delete(posted["links"]["self"]).status_code == 204
    assert service.folders() == before
    assert not any("sandbox.child" in line for line in service.processes())


def test_other_refusals(service):
    assert service.http.get("/v1/videos/none").status_code == 404
    assert "unknown" in service.http.get("/v1/videos/none/content").json()["error"]
    assert service.http.post("/v1/videos", content=b"x", headers={"content-type": "text/plain"}).status_code == 415
    large = service.http.post("/v1/videos", data={"spec": "{}"}, files={"video": b"x" * (2 * MIB)})
    assert large.status_code == 413
    assert f"{MIB} bytes" in large.json()["error"]
    assert service.http.get("/v1/videos/none").json().keys() == {"error"}


def test_failed_video_says_why(service):
    answer = service.http.post(
        "/v1/videos", data={"spec": json.dumps({"prompt": "rain", "edge": {}})}, files={"video": b"no video" * 99}
    )
    failed = service.follow(answer.json()["id"])[-1]
    assert (failed["status"], failed["error"]["stage"]) == ("failed", "prepare")
    content = service.http.get(f"{failed['links']['self']}/content")
    assert content.status_code == 422
    assert failed["error"]["message"] in content.json()["error"]


def test_full_queue_lost_replica_and_deletion(service):
    first, second = (service.post(num_steps=1000).json()["id"] for _ in range(2))
    refused = service.post()
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0

    while service.http.get(f"/v1/videos/{first}").json()["progress"] == 0:
        time.sleep(0.1)
    assert (
        service.http.delete(f"/v1/videos/{first}").status_code == 204
    )  # stops the generation, which frees the replica
    while service.http.get(f"/v1/videos/{second}").json()["progress"] == 0:
        time.sleep(0.1)
    assert service.http.delete(f"/v1/videos/{second}").status_code == 204

    video_id = service.post(num_steps=60).json()["id"]
    while service.http.get(f"/v1/videos/{video_id}").json()["progress"] == 0:
        time.sleep(0.1)
    (rank,) = [line for line in service.processes() if "airshower.actors.gang_member" in line]
    os.kill(int(rank.split()[0]), signal.SIGKILL)  # and the replica ends
    assert service.follow(video_id)[-1]["status"] == "done"


def test_interface_is_described(service):
    document = service.http.get("/openapi.json").json()
    assert service.http.get("/docs").status_code == 200
    body = document["paths"]["/v1/videos"]["post"]["requestBody"]["content"]
    assert {"prompt", "edge", "seed"} < set(body["application/json"]["schema"]["properties"])
    assert {"spec", "video", "mask_seg"} < set(body["multipart/form-data"]["schema"]["properties"])

    def references(node):
        if isinstance(node, dict):
            yield from [node["$ref"]] if "$ref" in node else []
            node = list(node.values())
        if isinstance(node, list):
            for item in node:
                yield from references(item)

    for reference in references(document):
        folder, kind, name = reference.removeprefix("#/").split("/")
        assert name in document[folder][kind]


def test_interrupt_ends_everything(service):
    """The last test: after it the service is gone."""
    unfinished = service.post(num_steps=1000).json()["id"]
    before = service.folders()
    upload = service.half_an_upload()
    service.process.send_signal(signal.SIGINT)
    answer = b"".join(iter(lambda: upload.recv(2000), b""))
    assert b'"error":"the service is stopping: ask again when it runs"' in answer
    assert service.process.wait(TIMEOUT_S) == 0
    deadline_s = time.monotonic() + TIMEOUT_S
    while service.processes() and time.monotonic() < deadline_s:
        time.sleep(0.2)
    assert service.processes() == []
    record = service.clips.parent / "work" / "videos" / unfinished / "job.json"
    assert json.loads(record.read_text())["status"] in ("queued", "running")
    assert service.folders() == before
    assert service.health[-1] == (503, "stopping")
