"""The cameras of the driving rig that the multiview networks know, by their published names.

A camera's id is its place in `RIG`; clips of fewer cameras keep the ids.
"""

RIG: tuple[str, ...] = (
    "front_wide",
    "cross_right",
    "rear_right",
    "rear",
    "rear_left",
    "cross_left",
    "front_tele",
)
# Waymo's five, in the order of Predict2's files: side left, front left, front, front right, side right.
WAYMO: tuple[str, ...] = ("rear_left", "cross_left", "front_wide", "cross_right", "rear_right")


def camera_ids(cameras: tuple[str, ...]) -> tuple[int, ...]:
    """The ids of cameras by name."""
    return tuple(RIG.index(camera) for camera in cameras)
