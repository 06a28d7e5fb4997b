import pytest

from airshower.platform.access import Access, AccessError


def spec(**fields):
    return {"prompt": "rain", "edge": {}, **fields}


@pytest.fixture
def clips(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "in.mp4").write_bytes(b"x")
    (tmp_path / "secret.mp4").write_bytes(b"x")
    (folder / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    (folder / "circle.mp4").symlink_to(folder / "circle.mp4")
    return folder


def test_nothing_is_allowed_by_default(clips):
    for path in (str(clips / "in.mp4"), "in.mp4", "https://host/in.mp4", "file:///etc/passwd"):
        with pytest.raises(AccessError, match=r"^video_path: .*upload the file"):
            Access().check(spec(video_path=path))
    Access().check(spec())


def test_files_below_an_allowed_folder_and_no_others(clips):
    access = Access(folders=[str(clips)])
    access.check(spec(video_path=f"{clips}/in.mp4", edge={"control_path": f"{clips}/deep/edge.mp4"}))
    outside = (
        f"{clips}/../secret.mp4",
        f"{clips}/link.mp4",
        f"{clips}/circle.mp4",
        f"{clips}-other/in.mp4",
        "clips/in.mp4",
        "~/in.mp4",
        "",
        "\0",
    )
    for path in outside:
        with pytest.raises(AccessError, match=r"^edge.control_path: .*use an absolute path below"):
            access.check(spec(edge={"control_path": path}))


@pytest.mark.parametrize(
    "field", ["prompt_path", "video_path", "image_context_path", "guided_generation_mask", "output_dir"]
)
def test_every_field_that_names_a_file_is_checked(field):
    with pytest.raises(AccessError, match=f"^{field}: "):
        Access().check(spec(**{field: "/etc/passwd"}))
    with pytest.raises(AccessError, match=r"^seg.mask_path: "):
        Access().check(spec(seg={"mask_path": "/etc/passwd"}))


def test_urls_below_an_allowed_prefix_and_no_others():
    access = Access(url_prefixes=["s3://bucket/clips"])
    access.check(spec(video_path="s3://bucket/clips/a/in.mp4"))
    for url in (
        "s3://bucket/clips-private/in.mp4",
        "s3://bucket/clips/../private/in.mp4",
        "s3://bucket/clips/%2e%2e/private/in.mp4",
        "http://169.254.169.254/latest",
        "simplecache::s3://bucket/clips/in.mp4",
        "s3://bucket/clips/in.zip::file:///etc/passwd",
    ):
        with pytest.raises(AccessError, match=r"use one that starts with s3://bucket/clips/"):
            access.check(spec(video_path=url))
