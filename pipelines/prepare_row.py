"""Preparing a row of either kind."""

from airshower.configs.messages import PreparedClip, PreparedViews
from airshower.configs.row_formats import AnySpec, ClipSpec
from airshower.pipelines.decoding.limits import MediaLimits
from airshower.pipelines.prepare import prepare_clip


def prepare_row(spec: AnySpec, limits: MediaLimits | None = None) -> PreparedClip | PreparedViews:
    """What the generator needs of a resolved row; raises ValueError or OSError with one line that names the field.

    `limits` are for each of its files; by default what this machine can hold.
    """
    if isinstance(spec, ClipSpec):
        return prepare_clip(spec, limits)
    from airshower.pipelines.prepare_views import prepare_views  # imports torch, which other rows don't need here

    return prepare_views(spec, limits)
