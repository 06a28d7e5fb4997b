"""Listing and deleting on S3 a page at a time: s3fs itself holds every name of a listing, or asks for each file."""

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError
from s3fs import S3FileSystem

PAGE_KEYS = 1000  # the most that S3 lists or deletes by one request


def page(fs: S3FileSystem, folder: str, token: str | None) -> tuple[list[str], str | None]:
    """Names below "bucket/key" at any depth, relative to it, and the token of the next page, None after the last."""
    bucket, _, key = folder.partition("/")
    prefix = f"{key}/" if key else ""
    more = {"ContinuationToken": token} if token else {}
    answer: dict[str, Any] = fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=PAGE_KEYS, **more)
    keys = (entry["Key"] for entry in answer.get("Contents", ()))
    names = [key.removeprefix(prefix) for key in keys if not key.endswith("/")]  # those are folders' markers
    return names, answer["NextContinuationToken"] if answer.get("IsTruncated") else None


def delete(fs: S3FileSystem, places: Sequence[str]) -> None:
    """Deletes up to 1000 objects of one bucket, "bucket/key" each; raises the first refusal."""
    bucket = places[0].partition("/")[0]
    objects = [{"Key": place.partition("/")[2]} for place in places]
    answer = fs.call_s3("delete_objects", Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    for refused in answer.get("Errors", ()):
        raise ClientError({"Error": refused}, "DeleteObjects")
