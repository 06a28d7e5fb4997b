"""How much one file may ask for: checked on what it announces and again on what comes: headers promise nothing."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from airshower.configs.sizes import Size
from airshower.pipelines.decoding.errors import MediaError

_MOST_FRAME_PX = 2**27  # 16384 x 8192, twice what any phone's or film's camera gives
_SHARE_OF_MEMORY = 0.25  # for one decoded clip; a few of them are prepared and written at a time
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_GIB = 2**30


def _share_of_this_machine_bytes() -> int:
    return int(_SHARE_OF_MEMORY * machine_memory_bytes())


@dataclass(frozen=True, kw_only=True)
class MediaLimits:
    """What a file may ask of the machine that reads it; the default is what fits this one."""

    frame_px: int = _MOST_FRAME_PX  # of one frame as it is stored
    clip_bytes: int = field(default_factory=_share_of_this_machine_bytes)  # of all frames at the size they are read at
    frames: int | None = None  # that are read; None: as many as fit

    def check_frame(self, path: str, height: int, width: int) -> None:
        """Raises MediaError for pictures that are larger than allowed."""
        if height * width > self.frame_px:
            raise MediaError(
                f"{path}: its pictures have {width}x{height} pixels, and {self.frame_px / 1e6:.0f} million are the "
                "most that are read: make them smaller"
            )

    def check_clip(self, path: str, frames: int, size: Size) -> None:
        """Raises MediaError for more frames than may be read, or held at a size."""
        if self.frames is not None and frames > self.frames:
            raise MediaError(
                f"{path}: has {frames} frames or more, and {self.frames} are the most that are read here: set "
                f"max_frames to {self.frames} or less"
            )
        frame_bytes = 3 * size.height * size.width
        if frames * frame_bytes > self.clip_bytes:
            raise MediaError(
                f"{path}: its {frames} frames take {frames * frame_bytes / _GIB:.1f} GiB at {size}, and "
                f"{self.clip_bytes / _GIB:.1f} GiB are the most that one file may take here: set max_frames to "
                f"{self.clip_bytes // frame_bytes} or less, or take a smaller resolution"
            )


def machine_memory_bytes() -> int:
    """Memory that this process may use: the machine's, or less where a container has less."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    given = [int(text) for path in _CGROUP_LIMITS if path.is_file() and (text := path.read_text().strip()).isdigit()]
    return min([physical, *given])
