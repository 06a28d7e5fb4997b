"""The Ray Data graph of batch generation: which stage calls what, as tasks or as a pool of actors.

What a row carries between stages is losslessly packed, one row per block. Importing this module imports Ray, so a
driver does it once it is connected (`airshower.cluster.session`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import ray
from ray.data import ActorPoolStrategy, Dataset, TaskPoolStrategy

from airshower.configs.gang_layout import ALONE, GangLayout
from airshower.configs.messages import PreparedClip, PreparedViews, Row
from airshower.configs.model_source import ModelSource
from airshower.configs.row_formats import AnySpec
from airshower.pipelines.monitor import Reporter
from airshower.pipelines.pools import ANNOTATE_CPUS, PREPARE_CPUS, TEXT_CPUS, WRITE_CPUS, Pools
from airshower.pipelines.stages import (
    AnnotateStage,
    GenerateStage,
    ReplicaLike,
    TextEncoderLike,
    TextStage,
    Warn,
    prepare_stage,
    row_table,
    write_stage,
)

if TYPE_CHECKING:
    from airshower.pipelines.annotate import AnnotatorLike

# One clip is worked on and one waits in the actor's process, so a replica never waits for Ray between two rows.
_TASKS_IN_FLIGHT = 2


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


def build_graph(
    rows: Sequence[Row], parts: GraphParts, write: Callable[[Row], Row], pools: Pools, reporter: Reporter
) -> Dataset:
    """The lazy graph over rows without error; it yields one pickled ManifestEntry per row, in order of completion.

    `write` makes a generated row last and adds its `outputs`.
    """
    one_row: dict[str, Any] = {"batch_size": 1, "batch_format": "pyarrow"}
    prepared = ray.data.from_arrow([row_table(row) for row in rows]).map_batches(
        partial(prepare_stage, prepare=parts.prepare, reporter=reporter),
        compute=TaskPoolStrategy(size=pools.tasks),
        num_cpus=PREPARE_CPUS,
        **one_row,
    )
    if pools.annotates:
        prepared = prepared.map_batches(
            AnnotateStage,
            fn_constructor_kwargs={"load": parts.load_annotator, "reporter": reporter},
            compute=ActorPoolStrategy(size=1, max_tasks_in_flight_per_actor=_TASKS_IN_FLIGHT),
            num_cpus=ANNOTATE_CPUS,
            num_gpus=pools.annotator_gpus or None,
            **one_row,
        )
    encoded = prepared.map_batches(
        TextStage,
        fn_constructor_kwargs={"load": parts.load_text_encoder, "reporter": reporter},
        compute=ActorPoolStrategy(size=1, max_tasks_in_flight_per_actor=_TASKS_IN_FLIGHT),
        num_cpus=TEXT_CPUS,
        num_gpus=pools.text_gpus or None,
        **one_row,
    )
    generated = encoded.map_batches(
        GenerateStage,
        fn_constructor_kwargs={"load": parts.load_replica, "reporter": reporter},
        compute=ActorPoolStrategy(size=pools.replicas, max_tasks_in_flight_per_actor=_TASKS_IN_FLIGHT),
        num_cpus=pools.replica_cpus,
        num_gpus=pools.replica_gpus or None,
        **one_row,
    )
    return generated.map_batches(
        partial(write_stage, write=write, reporter=reporter),
        compute=TaskPoolStrategy(size=pools.tasks),
        num_cpus=WRITE_CPUS,
        **one_row,
    )


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
