"""A directory of PyTorch's distributed checkpoint (DCP) as named tensors that are read only when asked for."""

import pickle
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata

from airshower.models.checkpoints.files import CheckpointError, Stored, StoredTensor


def open_dcp(folder: Path) -> Stored:
    """Raises CheckpointError for metadata that can't be read and for missing shards."""
    reader = _DcpReader(folder)
    try:
        metadata = reader.read_metadata()
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{folder}: its .metadata can't be read ({error}): fetch the folder again") from error
    shards = {info.relative_path for info in (metadata.storage_data or {}).values()}
    missing = sorted(shard for shard in shards if not (folder / shard).exists())
    if missing:
        raise CheckpointError(f"{folder}: {len(missing)} of {len(shards)} shards are missing: {', '.join(missing)}")
    return {
        key: StoredTensor(tuple(entry.size), entry.properties.dtype, partial(_read_dcp, reader, key, entry))
        for key, entry in metadata.state_dict_metadata.items()
        if isinstance(entry, TensorStorageMetadata)
    }


class _DcpReader(dcp.FileSystemReader):
    """Reads the directory's metadata once, not again for every tensor."""

    @cache  # noqa: B019 - lives as long as the checkpoint is open
    def read_metadata(self) -> Metadata:
        return super().read_metadata()


def _read_dcp(reader: _DcpReader, key: str, entry: TensorStorageMetadata) -> Tensor:
    wanted: dict[str, Any] = {key: torch.empty(entry.size, dtype=entry.properties.dtype)}
    dcp.load(wanted, storage_reader=reader, no_dist=True)
    tensor: Tensor = wanted[key]
    return tensor
