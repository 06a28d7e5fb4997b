"""Single pictures, with Pillow: upright, in sRGB, 8 bits, and whole or an error."""

import io
import warnings
from collections.abc import Callable

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.decoding.limits import MediaLimits

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
_ONE_PICTURE = ("JPEG", "MPO")  # phones put a depth map or the other eye behind the picture


def read_still(data: bytes, path: str, limits: MediaLimits) -> tuple[np.ndarray, tuple[str, ...]]:
    """The picture in a file, uint8 (H, W, 3), and what was converted, in words for the user; raises MediaError."""
    try:
        # Warnings are of sizes, which are checked here, and of odd metadata.
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            limits.check_frame(path, image.height, image.width)
            if image.format not in _ONE_PICTURE and _count(image) > 1:
                raise MediaError(f"{path}: holds {_count(image)} pictures: give one, or save them as a video")
            return _pixels(image, data, path)
    except (MediaError, MemoryError):
        raise
    except UnidentifiedImageError as error:  # whose words are of the object in memory
        raise MediaError(f"{path}: damaged, or not a picture that is read: save it as PNG or JPEG") from error
    except Image.DecompressionBombError as error:
        raise MediaError(f"{path}: not a picture that is read ({_short(error)}): save it as PNG or JPEG") from error
    except Exception as error:  # Pillow's readers raise whatever a damaged file leads to
        raise MediaError(f"{path}: damaged or cut off ({_short(error)}): copy or make it again") from error


def _pixels(image: Image.Image, data: bytes, path: str) -> tuple[np.ndarray, tuple[str, ...]]:
    if image.mode in ("F", "I"):
        raise MediaError(
            f"{path}: holds numbers, not a picture: as depth.control_path it is read; to be seen, save it with 8 or "
            "16 bits"
        )
    if image.mode.startswith("I;16"):
        image.load()
        grey = _rounded(np.asarray(ImageOps.exif_transpose(image)))
        return grey[..., None].repeat(3, axis=2), ()
    if deep := _deep_colours(image, data):
        image.load()  # which finds what is cut off
        return deep(), ()
    upright = ImageOps.exif_transpose(image)
    converted, words = _in_srgb(upright)
    return np.asarray(converted.convert("RGB")), words


def _deep_colours(image: Image.Image, data: bytes) -> Callable[[], np.ndarray] | None:
    """A reader for colours of 16 bits, of which Pillow would cut the lower ones off; None for other pictures."""
    is_deep = data[24:25] == b"\x10" if image.format == "PNG" else _bits(image) > 8
    if image.mode not in ("RGB", "RGBA") or not is_deep:
        return None

    def read() -> np.ndarray:
        # Not IMREAD_COLOR_RGB: of a TIFF with 16 bits OpenCV 5.0 gives memory then that was never written.
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        return _rounded(np.asarray(pixels)[..., ::-1])

    return read


def _bits(image: Image.Image) -> int:
    """Of a channel of a TIFF; 8 for other kinds."""
    tags = getattr(image, "tag_v2", {})
    return max(tags.get(ExifTags.Base.BitsPerSample, (8,)))


def _rounded(deep: np.ndarray) -> np.ndarray:
    """16 bits as 8, to the nearest."""
    return ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _in_srgb(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """By its colour profile, if it has one of other colours."""
    data = image.info.get("icc_profile")
    if not data:
        return image, ()
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        name = ImageCms.getProfileDescription(profile).strip()
        if "srgb" in name.lower() or image.mode not in ("RGB", "RGBA", "CMYK", "L"):
            return image, ()
        source = image.convert("RGB") if image.mode == "RGBA" else image
        converted = ImageCms.profileToProfile(source, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image, ("has a colour profile that can't be read, and was taken as sRGB",)
    if converted is None or image.mode == "L":
        return converted or image, ()
    return converted, (f"has the colours of {name} and was converted to sRGB",)


def _count(image: Image.Image) -> int:
    return getattr(image, "n_frames", 1)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
