"""Which object storage can hold a store: the protocols that are let in, and how each is connected to.

An implementation is let in where its source shows that it passes "only if there is none" on to the service:
s3fs as If-None-Match, gcsfs as ifGenerationMatch=0, adlfs as If-None-Match.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import fsspec
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs

from airshower.cluster.service_errors import explained
from airshower.cluster.store_rules import StoreError

_CONNECTIONS = 32  # of one process: threads that list prefixes at once


@dataclass(frozen=True, kw_only=True)
class Service:
    """What is to know of one protocol."""

    package: str
    since: tuple[int, int]  # year and month of the package's first version that creates as one step
    create_options: Mapping[str, object]  # of `pipe_file`, for an object that must not exist

    @property
    def is_s3(self) -> bool:
        return self.package == "s3fs"


_MODE, _OVERWRITE = {"mode": "create"}, {"overwrite": False}
_SERVICES = {
    "s3": Service(package="s3fs", since=(2024, 12), create_options=_MODE),
    "s3a": Service(package="s3fs", since=(2024, 12), create_options=_MODE),
    "gs": Service(package="gcsfs", since=(2024, 12), create_options=_MODE),
    "gcs": Service(package="gcsfs", since=(2024, 12), create_options=_MODE),
    "az": Service(package="adlfs", since=(2024, 7), create_options=_OVERWRITE),
    "abfs": Service(package="adlfs", since=(2024, 7), create_options=_OVERWRITE),
    "abfss": Service(package="adlfs", since=(2024, 7), create_options=_OVERWRITE),
    "memory": Service(package="fsspec", since=(2024, 6), create_options=_MODE),  # of one process, for tests
}


def service_of(location: str) -> Service:
    """The service at a URL; raises StoreError where it can't be a store, with the reason and what could."""
    protocol, _, place = location.partition("://")
    service = _SERVICES.get(protocol)
    if service is None:
        raise StoreError(
            f"{location}: nothing is known by which one of two writers to {protocol}:// wins, so that rows might be "
            "made twice: use s3://, gs://, az:// or a folder that all machines share"
        )
    if not place.strip("/"):
        raise StoreError(f"{location}: names no bucket: expected {protocol}://BUCKET/FOLDER")
    try:
        installed = version(service.package)
    except PackageNotFoundError:
        raise StoreError(f"{location}: {protocol}:// needs {service.package}: pip install {service.package}") from None
    if tuple(int(part) for part in installed.split(".")[:2]) < service.since:
        year, month = service.since
        raise StoreError(
            f"{location}: {service.package} {installed} can't create an object only if there is none: install "
            f"{year}.{month} or later"
        )
    return service


def connect(location: str, service: Service) -> tuple[AbstractFileSystem, str]:
    """A file system of its own and the location in it; raises StoreError where its settings won't do."""
    # a cache of listings would grow with the rows of a run, and be out of date
    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if service.is_s3:
        settings = fsspec.config.conf.get("s3", {}).get("config_kwargs", {})
        once = {"retries": {"total_max_attempts": 1}, "max_pool_connections": _CONNECTIONS}
        options["config_kwargs"] = {**settings, **once}
        # with more, reading asks for the size first: twice the requests, and a bucket that is gone looks like no object
        options["max_concurrency"] = 1
    try:
        fs, root = url_to_fs(location, **options)
    except Exception as error:  # the client libraries share no base class
        raise StoreError(f"{location}: {explained(error)}") from error
    if service.is_s3:
        fs.retries = 1
    return fs, root.rstrip("/")
