"""Files that somebody may send: small valid ones of every kind that is read, and the same with some of it spoilt.

A file is a function of its seed: bits turned, bytes lost, put in, repeated or blanked, and numbers in headers set to
extremes.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
import OpenEXR
from PIL import Image

from tests.pipelines.decoding.numbered import picture, write

FRAMES = 8
_HEADER_BYTES = 1024
_EXTREMES = (0, 1, 2**7, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)


@dataclass(frozen=True, kw_only=True)
class Spoilt:
    """A file to send."""

    kind: str  # of the valid one
    how: str  # it was spoilt
    content: bytes


def spoilt_files(seeds: dict[str, bytes], count: int, seed: int) -> Iterator[Spoilt]:
    """So many files, each kind in its turn."""
    kinds = list(seeds)
    for number in range(count):
        random = Random(f"{seed} {number}")
        kind = kinds[number % len(kinds)]
        content = bytearray(seeds[kind])
        how = []
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            spoil = random.choice(_WAYS)
            spoil(content, random)
            how.append(spoil.__name__.strip("_"))
        yield Spoilt(kind=kind, how="+".join(how), content=bytes(content))


def _turn_bits(content: bytearray, random: Random) -> None:
    for _ in range(random.choice((1, 3, 20, 200))):
        if content:
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)


def _turn_header_bits(content: bytearray, random: Random) -> None:
    for _ in range(random.choice((1, 2, 5))):
        if content:
            content[random.randrange(min(len(content), _HEADER_BYTES))] ^= 1 << random.randrange(8)


def _cut(content: bytearray, random: Random) -> None:
    del content[random.randrange(len(content) + 1) :]


def _lose(content: bytearray, random: Random) -> None:
    begin, end = _range(content, random)
    del content[begin:end]


def _put_in(content: bytearray, random: Random) -> None:
    place = random.randrange(len(content) + 1)
    content[place:place] = random.randbytes(random.choice((1, 4, 100, 3000)))


def _repeat(content: bytearray, random: Random) -> None:
    begin, end = _range(content, random)
    content[end:end] = content[begin:end] * random.choice((1, 3))


def _blank(content: bytearray, random: Random) -> None:
    begin, end = _range(content, random)
    content[begin:end] = random.choice((b"\0", b"\xff")) * (end - begin)


def _set_extremes(content: bytearray, random: Random) -> None:
    for _ in range(random.choice((1, 1, 2, 4))):
        size = random.choice((1, 2, 4, 8))
        place = random.randrange(max(1, min(len(content), _HEADER_BYTES) - size + 1))
        value = random.choice(_EXTREMES) & (1 << 8 * size) - 1
        content[place : place + size] = value.to_bytes(size, random.choice(("big", "little")))


def _range(content: bytearray, random: Random) -> tuple[int, int]:
    begin = random.randrange(len(content) + 1)
    return begin, min(len(content), begin + random.choice((1, 8, 64, 512, 4096)))


_WAYS = (_turn_bits, _turn_header_bits, _cut, _lose, _put_in, _repeat, _blank, _set_extremes)


def valid_files(folder: Path) -> dict[str, bytes]:
    """A valid file of each kind, by name; videos have frames with numbers."""
    return {name: _made(make, folder / name) for name, make in (_VIDEOS | _PICTURES | _NUMBERS).items()}


def field_of(name: str) -> str:
    """What a row would name a kind of file as."""
    return "depth.control_path" if name in _NUMBERS else "video_path"


def row_of(field: str, path: Path | str, leader: Path | str, frames: int) -> dict[str, Any]:
    """A row's own fields that name a file in a (dotted) field; `leader` is its input where that is another."""
    row: dict[str, Any] = {"prompt": "rain", "max_frames": frames, "video_path": str(leader)}
    owner, dot, key = field.rpartition(".")
    return row | ({owner: {key: str(path)}} if dot else {"edge": {}, key: str(path)})


def frames_of(name: str) -> int:
    """How many frames a valid file of that kind has."""
    return FRAMES if name in _VIDEOS or name in ("depth.npy", "depth.npz", "depth.tif") else 1


def _made(make: Callable[[Path], object], path: Path) -> bytes:
    make(path)
    return path.read_bytes()


def _video(**how: object) -> Callable[[Path], object]:
    return lambda path: write(path, pictures=[picture(number) for number in range(FRAMES)], **how)


def _picture(kind: str, mode: str = "RGB", **how: object) -> Callable[[Path], object]:
    return lambda path: Image.fromarray(picture(7)).convert(mode).save(path, kind, **how)


def _moving(path: Path) -> None:
    first, *others = [Image.fromarray(picture(number)) for number in range(FRAMES)]
    first.save(path, save_all=True, append_images=others, duration=40)


def _maps() -> np.ndarray:
    return np.linspace(1, 9, FRAMES * 24 * 40, dtype=np.float32).reshape(FRAMES, 24, 40)


def _exr(path: Path) -> None:
    with OpenEXR.File(
        {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}, {"Z": _maps()[0]}
    ) as file:
        file.write(str(path))


def _deep_png(path: Path) -> None:
    path.write_bytes(cv2.imencode(".png", (_maps()[0] * 1000).astype(np.uint16))[1].tobytes())


def _float_tiff(path: Path) -> None:
    cv2.imwritemulti(str(path), list(_maps()))


def _npz(path: Path) -> None:
    with io.BytesIO() as file:
        np.savez_compressed(file, depth=_maps())
        path.write_bytes(file.getvalue())


_VIDEOS = {
    "h264.mp4": _video(sound="aac"),
    "fragments.mp4": _video(file_options={"movflags": "frag_keyframe+empty_moov"}),
    "hevc.mp4": _video(codec="libx265", options={"x265-params": "log-level=none"}),
    "mpeg4.mov": _video(codec="mpeg4"),
    "h264.mkv": _video(sound="aac"),
    "vp9.webm": _video(codec="libvpx-vp9"),
    "vp8.webm": _video(codec="libvpx"),
    "mpeg4.avi": _video(codec="mpeg4"),
    "mjpeg.avi": _video(codec="mjpeg", pixel_format="yuvj420p"),
    "h264.ts": _video(file_format="mpegts", sound="aac"),
    "mpeg2.mpg": _video(codec="mpeg2video", rate=25, file_format="mpeg"),
    "h264.flv": _video(),
    "raw.y4m": _video(codec="wrapped_avframe", file_format="yuv4mpegpipe"),
    "moving.gif": _moving,
    "moving.png": _moving,
}
_PICTURES = {
    "still.png": _picture("PNG"),
    "still.jpg": _picture("JPEG"),
    "progressive.jpg": _picture("JPEG", progressive=True),
    "still.webp": _picture("WEBP"),
    "still.avif": _picture("AVIF"),
    "still.tif": _picture("TIFF", compression="tiff_lzw"),
    "still.bmp": _picture("BMP"),
    "palette.gif": _picture("GIF", "P"),
    "still.jp2": _picture("JPEG2000"),
    "still.ppm": _picture("PPM"),
}
_NUMBERS = {
    "depth.npy": lambda path: np.save(path, _maps()),
    "depth.npz": _npz,
    "depth.exr": _exr,
    "depth.png": _deep_png,
    "depth.tif": _float_tiff,
}
