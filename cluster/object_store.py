"""A store on object storage, by fsspec: where a service creates an object only if there is none, as one step.

That is a rule of the service and a matter of the fsspec implementation, whose common default looks first and writes
then: so only those that are known to ask the service are let in, and `probe` finds out whether it does as asked. Every
call is retried by `backoff` alone: the client libraries' own retries are off, since these would multiply with them.
"""

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from airshower.cluster import s3_pages
from airshower.cluster.backoff import retrying
from airshower.cluster.object_services import connect, service_of
from airshower.cluster.service_errors import NO_BUCKET, explained, service_code
from airshower.cluster.store_rules import StoreError, relative_path

_TAKEN = ("PreconditionFailed", "412")  # the second where the answer has no body
_RACERS = 8
_PROBE_ATTEMPTS = 5  # somebody waits for the answer

# One for the process, as fsspec's memory:// itself: it looks first and writes then.
_MEMORY_LOCK = threading.Lock()

Result = TypeVar("Result")


class ObjectStore:
    """Objects below a URL as a store; holds a connection, no state, and is sent to other processes as its URL.

    Raises StoreError for a URL whose protocol won't do or whose library isn't installed.
    """

    def __init__(self, location: str, *, attempts: int = 6) -> None:
        self.location = location
        self._attempts = attempts
        self._service = service_of(location)
        self._fs, self._root = connect(location, self._service)

    def __reduce__(self) -> tuple[object, ...]:
        return ObjectStore, (self.location,)

    def create(self, path: str, data: bytes) -> bool:
        try:
            self._ask(path, partial(self._create_once, self._place(path), data))
        except FileExistsError:
            # An answer that got lost on its way is asked for again, here or in a proxy, and the second request meets
            # the object that the first has made.
            with suppress(FileNotFoundError):  # deleted meanwhile: it was there
                return self.read(path) == data
            return False
        return True

    def write(self, path: str, data: bytes) -> None:
        self._ask(path, partial(self._fs.pipe_file, self._place(path), data))

    def put(self, path: str, local: Path) -> None:
        local.stat()  # a missing local file isn't the service's
        self._ask(path, partial(self._fs.put_file, str(local), self._place(path)))

    def read(self, path: str) -> bytes:
        return self._ask(path, partial(self._fs.cat_file, self._place(path)))

    def names(self, folder: str) -> Iterator[str]:
        return (name for name, _ in self.sizes(folder))

    def sizes(self, folder: str) -> Iterator[tuple[str, int]]:
        place = self._place(folder) if folder else self._root
        return self._paged(place) if self._service.is_s3 else self._walked(place, "")

    def delete(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._ask(path, partial(self._fs.rm_file, self._place(path)))

    def delete_folder(self, folder: str) -> None:
        place = self._place(folder)
        if not self._service.is_s3:
            for name in self.names(folder):
                self.delete(f"{folder}/{name}")
            return
        names = self.names(folder)
        while some := [f"{place}/{name}" for name in islice(names, s3_pages.PAGE_KEYS)]:
            self._ask(folder, partial(s3_pages.delete, self._fs, some))

    def local_path(self, path: str) -> None:
        return None

    def url(self, path: str) -> str:
        return f"{self.location.rstrip('/')}/{relative_path(path)}"

    def probe(self) -> None:
        """Raises StoreError unless these credentials may list, read, write and delete here, and one writer wins."""
        try:
            won = ObjectStore(self.location, attempts=_PROBE_ATTEMPTS)._wins(f".probe-{uuid.uuid4().hex}")
        except OSError as error:
            raise StoreError(f"{self.location}: {_reason(error)}") from error
        if won != [1, 1]:
            raise StoreError(
                f"{self.location}: two writers could create one object, so that rows might be made twice: use a "
                "service that does conditional writes (If-None-Match: *), or a folder that all machines share"
            )

    def _wins(self, folder: str) -> list[int]:
        """How many of two creations, one after the other, and of several at once have won."""
        list(self.names(folder))  # who may not list gets to know that first
        try:
            twice = [self.create(f"{folder}/twice", data) for data in (b"first", b"second")]
            with ThreadPoolExecutor(_RACERS) as pool:
                at_once = pool.map(lambda number: self.create(f"{folder}/at once", b"%d" % number), range(_RACERS))
            won = [sum(twice), sum(at_once)]
        except OSError:
            with suppress(OSError):
                self.delete_folder(folder)
            raise
        self.delete_folder(folder)
        return won

    def _place(self, path: str) -> str:
        return f"{self._root}/{relative_path(path)}"

    def _create_once(self, place: str, data: bytes) -> None:
        """Raises FileExistsError where an object is, in whatever words the service says so."""
        try:
            if self._service.package == "fsspec":
                with _MEMORY_LOCK:
                    self._fs.pipe_file(place, data, **self._service.create_options)
            else:
                self._fs.pipe_file(place, data, **self._service.create_options)
        except Exception as error:
            if service_code(error) in _TAKEN:  # s3fs knows it only by a field that not all services send
                raise FileExistsError(place) from error
            raise

    def _paged(self, place: str) -> Iterator[tuple[str, int]]:
        token = None
        while True:
            found, token = self._ask("", partial(s3_pages.page, self._fs, place, token))
            yield from found
            if token is None:
                return

    def _walked(self, place: str, prefix: str) -> Iterator[tuple[str, int]]:
        """Folder by folder, of which only one's names are held at a time."""
        try:
            entries = self._ask(prefix.rstrip("/"), partial(self._fs.ls, place, detail=True, refresh=True))
        except FileNotFoundError:
            return
        for entry in entries:
            found = entry["name"].rstrip("/")
            name = found.rpartition("/")[2]
            if found == place:  # the folder's own marker
                continue
            if entry["type"] == "directory":
                yield from self._walked(found, f"{prefix}{name}/")
            else:
                yield prefix + name, int(entry["size"])

    def _ask(self, path: str, call: Callable[[], Result]) -> Result:
        """What the service answers; raises OSError in one line that names the URL, FileNotFoundError for no object."""
        url = self.url(path) if path else self.location
        try:
            return retrying(call, url, attempts=self._attempts)
        except FileExistsError:
            raise
        except FileNotFoundError as error:
            if explained(error) == NO_BUCKET:  # else a run would take all its rows for missing ones
                raise OSError(f"{url}: {NO_BUCKET}") from error
            raise FileNotFoundError(f"{url} does not exist") from None
        except Exception as error:
            raise OSError(f"{url}: {explained(error)}") from error


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return NO_BUCKET
    return explained(error.__cause__ or error)
