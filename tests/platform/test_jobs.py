from airshower.configs.presets import tiny_transfer
from airshower.configs.spec import ClipSpec, EdgeSpec
from airshower.platform.jobs import JobTable, Video, VideoError


def video(video_id):
    spec = ClipSpec(name="a", prompt="rain", video_path="/in.mp4", edge=EdgeSpec()).resolved(tiny_transfer())
    return Video(id=video_id, spec=spec, prompt="rain")


def test_uploads_that_never_became_a_video_are_removed(tmp_path):
    JobTable(tmp_path)
    left, mine = tmp_path / "videos" / ("0f" * 16), tmp_path / "videos" / "notes"
    for folder in (left, mine):
        (folder / "uploads").mkdir(parents=True)
        (folder / "uploads" / "video.mp4").touch()
    assert JobTable(tmp_path).all() == []
    assert not left.exists()
    assert mine.exists()  # no folder of the service's


def test_a_record_that_cannot_be_written_stops_nothing(tmp_path, caplog):
    table = JobTable(tmp_path)
    table.add(video("one"))
    (tmp_path / "videos" / "one" / "job.draft").mkdir()
    assert table.update("one", status="running").status == "running"
    assert "the record of video one is out of date" in caplog.text
    assert JobTable(tmp_path).get("one").status == "queued"


def test_a_new_table_on_the_same_folder_knows_every_video(tmp_path):
    table = JobTable(tmp_path)
    for video_id in ("one", "two", "three", "gone"):
        table.add(video(video_id))
    table.update("one", status="done", progress=1.0, outputs={"video": "a.mp4", "control_edge": "a_control_edge.mp4"})
    table.update("two", status="failed", error=VideoError(stage="prepare", type="MediaError", message="too short"))
    table.update("three", progress=0.5)
    table.remove("gone")
    (tmp_path / "videos" / "bad").mkdir()
    (tmp_path / "videos" / "bad" / "job.json").write_text('{"id": "bad"}')

    again = JobTable(tmp_path)
    assert again.all()[:2] == table.all()[:2]
    assert [video.id for video in again.unfinished()] == ["three"]
    assert again.get("gone") is None
    assert again.get("bad") is None
    assert again.get("one").links == {
        "self": "/v1/videos/one",
        "content": "/v1/videos/one/content",
        "control_edge": "/v1/videos/one/controls/edge",
    }
    assert not (tmp_path / "videos" / "gone").exists()
