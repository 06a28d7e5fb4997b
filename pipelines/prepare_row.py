"""Preparing a row of either kind."""

from airshower.configs.messages import PreparedClip, PreparedViews
from airshower.configs.row_formats import AnySpec, ClipSpec
from airshower.pipelines.prepare import prepare_clip
from airshower.pipelines.prepare_views import prepare_views


def prepare_row(spec: AnySpec) -> PreparedClip | PreparedViews:
    """What the generator needs of a resolved row; raises ValueError or OSError with one line that names the field."""
    return prepare_clip(spec) if isinstance(spec, ClipSpec) else prepare_views(spec)
