"""The kind of a row: what its time and memory depend on, from its spec and the length and size of its clip."""

from dataclasses import replace

from airshower.actors.view_chunks import plan_view_chunks
from airshower.configs.flops import ChunkSize
from airshower.configs.multiview_spec import MultiviewSpec
from airshower.configs.presets import ModelPreset
from airshower.configs.row_formats import AnySpec
from airshower.configs.row_kind import RowKind
from airshower.configs.sizes import Size
from airshower.configs.spec import ClipSpec
from airshower.models.chunks import Chunk, chunk_length, plan_chunks


def kind_of(spec: AnySpec, preset: ModelPreset, *, frames: int, size: Size) -> RowKind:
    """Of a resolved row whose clip has so many frames per camera; raises ValueError for one that can't be cut."""
    controls, sampling = tuple(spec.controls), spec.sampling()
    chunks = _view_chunks(spec, preset, frames) if isinstance(spec, MultiviewSpec) else _chunks(spec, preset, frames)
    kind = RowKind(
        model=preset.name,
        controls=controls,
        chunk=ChunkSize(frames=chunks[0].length, height=size.height, width=size.width),
        chunks=len(chunks),
        steps=sampling.steps,
        guided=sampling.guidance > 0 and preset.sampler != "distilled",
        given_frames=max(chunk.overlap for chunk in chunks),
        annotated=spec.needs_annotator,
    )
    if isinstance(spec, MultiviewSpec):
        first = max(spec.given_frames().values())
        chunk = replace(kind.chunk, views=len(spec.cameras))
        return replace(kind, chunk=chunk, given_frames=max(first, kind.given_frames), first_given=first > 0)
    asked = spec.asked_features()
    return replace(kind, styled="style-image" in asked, keeps_region="guided-generation" in asked)


def _chunks(spec: ClipSpec, preset: ModelPreset, frames: int) -> list[Chunk]:
    length = chunk_length(frames, spec.sampling().chunk_frames, whole=preset.whole_chunks)
    return plan_chunks(frames, length, spec.num_conditional_frames, spec.seed)


def _view_chunks(spec: MultiviewSpec, preset: ModelPreset, frames: int) -> list[Chunk]:
    length, overlap = spec.sampling().chunk_frames, spec.chunk_overlap or 0
    return plan_view_chunks(frames, length, overlap, spec.seed, whole=preset.whole_chunks)
