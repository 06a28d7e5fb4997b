"""What is healthy and not read is told by name; what poses as a video opens no other file and no address."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.media import read_header, read_video
from tests.pipelines.decoding.numbered import write
from tests.pipelines.decoding.posing import listening, posing

FILES = Path(__file__).parent / "files"


def saved(image, kind, **how):
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def array(save, *what):
    file = io.BytesIO()
    save(file, *what)
    return file.getvalue()


def zipped(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "text")
    return file.getvalue()


NOT_READ = {
    "moving.webp": ((FILES / "anim.webp").read_bytes(), "is an animated WebP, which is not read: save it as mp4"),
    "picture.jxl": (b"\xff\x0a" + bytes(60), "is a JPEG XL, which is not read: save it as JPEG or PNG"),
    "boxed.jxl": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(60), "is a JPEG XL"),
    "float.tif": (saved(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF"), "holds numbers, not a picture"),
    "pages.tif": (
        saved(Image.new("RGB", (8, 8)), "TIFF", save_all=True, append_images=[Image.new("RGB", (8, 8))]),
        "holds 2 pictures: give one, or save them as a video",
    ),
    "depth.exr": (b"v/1\x01" + bytes(60), "holds numbers, not pictures: it is read as depth.control_path only"),
    "light.hdr": (b"#?RADIANCE\n" + bytes(60), "holds numbers, not pictures"),
    "depth.npz": (array(np.savez, np.ones((2, 4, 4))), "holds arrays, not pictures"),
    "depth.npy": (array(np.save, np.ones((2, 4, 4))), "holds arrays, not pictures"),
    "sound.wav": (b"RIFF\0\0\0\0WAVEfmt " + bytes(60), "holds sound alone"),
    "sound.mp3": (b"ID3\x04" + bytes(60), "holds sound alone"),
    "sound.flac": (b"fLaC" + bytes(60), "holds sound alone"),
    "paper.pdf": (b"%PDF-1.7\n" + bytes(60), "is a PDF document"),
    "letter.docx": (zipped("[Content_Types].xml", "word/document.xml"), "is an archive or an office document"),
    "old.doc": (b"\xd0\xcf\x11\xe0" + bytes(60), "is an office document"),
    "clips.tar.gz": (b"\x1f\x8b\x08" + bytes(60), "is an archive: unpack it"),
    "clips.tar": (bytes(257) + b"ustar" + bytes(300), "is an archive"),
    "drawing.svg": (b"<svg xmlns='x'></svg>", "is an SVG drawing"),
    "page.mp4": (b"<!DOCTYPE html><html>404</html>", "is a web page, as a failed download leaves it"),
    "pointer.mp4": (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS, not the file"),
}


@pytest.mark.parametrize("name", NOT_READ)
def test_what_is_healthy_and_not_read_is_told_by_name(tmp_path, name):
    content, message = NOT_READ[name]
    (tmp_path / name).write_bytes(content)
    for read in (read_video, read_header):
        with pytest.raises(MediaError, match=f"{name}: {message}"):
            read(str(tmp_path / name))


def test_a_text_that_poses_as_a_video_opens_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # relative names would be found from here
    write(tmp_path / "canary.mp4")
    with listening() as (port, spoken_to):
        canary = tmp_path / "canary.mp4"
        files = posing(canary, port)
        assert len(files) == 30
        opened = canary.stat().st_atime_ns
        for number, (kind, content) in enumerate(files.items()):
            path = tmp_path / f"{kind}.{('mp4', 'mkv', 'm3u8', 'sdp')[number % 4]}"
            path.write_bytes(content)
            with pytest.raises(MediaError, match=rf"{path.name}: ") as raised:
                read_video(str(path))
            assert "\n" not in str(raised.value)
        assert not spoken_to()
        assert canary.stat().st_atime_ns == opened  # nobody read it
