"""Camera parameters of a clip as a file: what a row names as `camera_path`, and what lies beside its clip.

    {"fps": 24.0, "cameras": {"front": {"width_px": 256, "height_px": 144,
                                        "intrinsics_px": {"fx": 128.0, "fy": 128.0, "cx": 128.0, "cy": 72.0},
                                        "camera_to_world": [[[r, r, r, x], [r, r, r, y], [r, r, r, z], [0, 0, 0, 1]]]}}}

Pinhole cameras, without distortion, whose intrinsics stay. `camera_to_world` has a matrix per frame, which takes points
from camera axes as OpenCV has them (x right, y down, z along the optical axis) to one world of metres, any that is the
same for all frames and cameras. Pixels are counted from the corner of the picture: the middle of its first one is at
(0.5, 0.5). More fields may stand in the file. That a matrix is a pose is checked where the file is read.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
MatrixRow = tuple[Number, Number, Number, Number]
Matrix = tuple[MatrixRow, MatrixRow, MatrixRow, MatrixRow]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Intrinsics(_Part):
    """Focal lengths and principal point in pixels of the picture that they belong to."""

    fx: Positive
    fy: Positive
    cx: Number
    cy: Number


class CameraTrack(_Part):
    """One camera through a clip."""

    width_px: int = Field(ge=1)
    height_px: int = Field(ge=1)
    intrinsics_px: Intrinsics
    camera_to_world: tuple[Matrix, ...] = Field(min_length=1)

    def resized(self, *, height_px: int, width_px: int) -> "CameraTrack":
        """The same camera, whose pictures were resized without cropping."""
        across, down = width_px / self.width_px, height_px / self.height_px
        own = self.intrinsics_px
        scaled = Intrinsics(fx=own.fx * across, fy=own.fy * down, cx=own.cx * across, cy=own.cy * down)
        return self.model_copy(update={"width_px": width_px, "height_px": height_px, "intrinsics_px": scaled})


class CameraFile(_Part):
    """The cameras of a clip by name; a camera's first matrix is that of the clip's first frame."""

    fps: Positive
    cameras: dict[str, CameraTrack] = Field(min_length=1)
