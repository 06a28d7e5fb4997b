"""Listing and deleting on S3 a page at a time: s3fs itself holds every name of a listing and asks for each file.

The file systems here are s3fs's; it is loaded when a store is opened, by fsspec.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fsspec import AbstractFileSystem

PAGE_KEYS = 1000  # the most that S3 lists or deletes by one request


class DeletionError(OSError):
    """An object of several wasn't deleted; `response` says why, as in botocore's own errors."""

    def __init__(self, refused: Mapping[str, str]) -> None:
        super().__init__(f"{refused.get('Key')}: {refused.get('Message')}")
        self.response = {"Error": refused}


def page(fs: AbstractFileSystem, folder: str, token: str | None) -> tuple[list[tuple[str, int]], str | None]:
    """Names below "bucket/key" at any depth, relative to it, with their sizes in bytes, and the token of the next page,
    None after the last.
    """
    bucket, _, key = folder.partition("/")
    prefix = f"{key}/" if key else ""
    more = {"ContinuationToken": token} if token else {}
    answer: dict[str, Any] = fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=PAGE_KEYS, **more)
    objects = [(entry["Key"], entry["Size"]) for entry in answer.get("Contents", ())]
    found = [(key.removeprefix(prefix), size) for key, size in objects if not key.endswith("/")]  # folders' markers
    return found, answer["NextContinuationToken"] if answer.get("IsTruncated") else None


def delete(fs: AbstractFileSystem, places: Sequence[str]) -> None:
    """Deletes up to 1000 objects of one bucket, "bucket/key" each; raises DeletionError for the first refusal."""
    bucket = places[0].partition("/")[0]
    objects = [{"Key": place.partition("/")[2]} for place in places]
    answer = fs.call_s3("delete_objects", Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    for refused in answer.get("Errors", ()):
        raise DeletionError(refused)
