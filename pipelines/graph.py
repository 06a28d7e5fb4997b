"""The Ray Data graph of batch generation: which stage calls what, as tasks or as a pool of actors.

What a row carries between stages is losslessly packed, one parcel of rows per block. Importing this module imports
Ray, so a driver does it once it is connected (`airshower.cluster.session`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ray.data import ActorPoolStrategy, Dataset, TaskPoolStrategy

from airshower.configs.gang_layout import ALONE, GangLayout
from airshower.configs.messages import PreparedClip, PreparedViews
from airshower.configs.model_source import ModelSource
from airshower.configs.row_formats import AnySpec
from airshower.pipelines.dispatch.handle import Dispatch
from airshower.pipelines.dispatch.source import parcels
from airshower.pipelines.make_stage import ROWS_AT_A_TIME, MakeStage, ReplicaLike, Writer
from airshower.pipelines.pools import ANNOTATE_CPUS, PREPARE_CPUS, TEXT_CPUS, Pools
from airshower.pipelines.stages import AnnotateStage, TextEncoderLike, TextStage, Warn, prepare_stage

if TYPE_CHECKING:
    from airshower.pipelines.annotate import AnnotatorLike

_ONE_AHEAD = 2  # one row is worked on and one waits in the actor's process, so that it never waits for Ray
_ONE_PARCEL: dict[str, Any] = {"batch_size": 1, "batch_format": "pyarrow"}  # at a time


@dataclass(frozen=True, kw_only=True)
class GraphParts:
    """What the stages call; every part travels to the workers in a pickle. The loaders run there, once per actor."""

    prepare: Callable[[AnySpec], PreparedClip | PreparedViews]
    load_annotator: "Callable[[], AnnotatorLike]"
    load_text_encoder: Callable[[Warn], TextEncoderLike]
    load_replica: Callable[[], ReplicaLike]


def parts_of(source: ModelSource, device: str, gang: GangLayout = ALONE) -> GraphParts:
    """The real parts for a model, whose replicas are gangs of a layout."""
    return GraphParts(
        prepare=_prepare,
        load_annotator=partial(_load_annotator, source, device),
        load_text_encoder=partial(_load_text_encoder, source, source.preset.text_device(device)),
        load_replica=partial(_load_replica, source, device, gang),
    )


def build_graph(pool: str, parts: GraphParts, writer: Writer, pools: Pools, dispatch: Dispatch) -> Dataset:
    """The lazy graph through which a pool's rows go; it yields a packed ManifestEntry per row, in order of completion.

    `writer` makes a generated row last.
    """
    prepared = parcels(dispatch, pool).map_batches(
        partial(prepare_stage, prepare=parts.prepare, dispatch=dispatch),
        compute=TaskPoolStrategy(size=pools.tasks),
        num_cpus=PREPARE_CPUS,
        **_ONE_PARCEL,
    )
    annotated = _through_actors(
        prepared,
        AnnotateStage,
        {"load": parts.load_annotator, "dispatch": dispatch},
        actors=pools.annotators,
        cpus=ANNOTATE_CPUS,
        gpus=pools.annotator_gpus,
        accelerator=pools.annotator_accelerator,
    )
    encoded = _through_actors(
        annotated,
        TextStage,
        {"load": parts.load_text_encoder, "dispatch": dispatch},
        actors=pools.text_encoders,
        cpus=TEXT_CPUS,
        gpus=pools.text_gpus,
        accelerator=pools.text_accelerator,
    )
    return encoded.map_batches(
        MakeStage,
        fn_constructor_kwargs={
            "load": parts.load_replica,
            "load_text_encoder": None if pools.text_encoders else parts.load_text_encoder,
            "writer": writer,
            "dispatch": dispatch,
        },
        compute=ActorPoolStrategy(
            size=pools.replicas,
            max_tasks_in_flight_per_actor=ROWS_AT_A_TIME,
            max_concurrent_calls_per_actor=ROWS_AT_A_TIME,
            enable_true_multi_threading=True,
        ),
        num_cpus=pools.replica_cpus,
        num_gpus=pools.replica_gpus or None,
        accelerator_type=pools.accelerator,
        **_ONE_PARCEL,
    )


def _through_actors(
    rows: Dataset,
    stage: type,
    held: dict[str, Any],
    *,
    actors: int,
    cpus: float,
    gpus: float,
    accelerator: str | None,
) -> Dataset:
    """Rows after a stage of so many actors, each made with what is `held`; as they are where there is none."""
    if not actors:
        return rows
    return rows.map_batches(
        stage,
        fn_constructor_kwargs=held,
        compute=ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=_ONE_AHEAD),
        num_cpus=cpus,
        num_gpus=gpus or None,
        accelerator_type=accelerator,
        **_ONE_PARCEL,
    )


def most_parcels(pools: Pools) -> int:
    """How many parcels are under way at most: every stage has what it works on and what it takes up next."""
    actors = pools.text_encoders + pools.annotators
    return ROWS_AT_A_TIME * pools.replicas + _ONE_AHEAD * actors + 2 * pools.tasks


# The imports below stay inside: only workers load torch and the networks; the driver stays small and starts fast.


def _prepare(spec: AnySpec) -> PreparedClip | PreparedViews:
    from airshower.pipelines.prepare_row import prepare_row

    return prepare_row(spec)


def _load_annotator(source: ModelSource, device: str) -> "AnnotatorLike":
    from airshower.actors.annotator import Annotator

    return Annotator(source.annotator_folder, device=device, threads=1)


def _load_text_encoder(source: ModelSource, device: str, warn: Warn) -> TextEncoderLike:
    from airshower.actors.text_encoder import TextEncoder

    return TextEncoder(source, device=device, threads=1, warn=warn)


def _load_replica(source: ModelSource, device: str, gang: GangLayout) -> ReplicaLike:
    from airshower.actors.replica import Replica

    return Replica(source, device=device, threads=1, layout=gang)
