"""Jobs on a Ray cluster that runs elsewhere: hand one in once, follow what it prints, learn how it ended.

The submission id says which job is meant: a cluster takes each id once, so that handing in again finds the first job.
Assumes that this machine reaches the cluster's job server (port 8265 of the head, or a tunnel to it). A token is taken
from where Ray's own commands find it. Deliberately remembers nothing: what a job made is in its run folder.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from airshower.cluster.session import ClusterError, check_reachable, set_ray_environment
from airshower.cluster.tokens import REMEDY, use_token_if_there_is_one

_ADDRESS = "RAY_API_SERVER_ADDRESS"
_CHATTY = ("dashboard.modules.job.sdk", "dashboard.modules.dashboard_sdk", "_private.runtime_env")
_QUIET_S = 60.0  # a stream that says nothing for so long may have died unseen
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 30.0
_GIVE_UP_S = 600.0  # without an answer of the job server
_ENDED = {"SUCCEEDED", "FAILED", "STOPPED"}


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as its cluster knows it."""

    id: str
    entrypoint: str
    state: str  # PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED
    message: str
    driver_exit_code: int | None

    @property
    def ended(self) -> bool:
        return self.state in _ENDED

    @property
    def exit_code(self) -> int:
        """As a shell has it: 0 only for success, 128 + n where signal n ended the command."""
        if self.state == "SUCCEEDED":
            return 0
        code = self.driver_exit_code or 1
        return 128 - code if code < 0 else code


class JobServer:
    """The job server of one cluster. Every call raises ClusterError where it can't be reached or refuses."""

    def __init__(self, address: str | None = None) -> None:
        """`address`: http://HEAD:8265, or what `ray.init` takes; None: RAY_ADDRESS, or a cluster on this machine."""
        set_ray_environment(verbose=False)
        use_token_if_there_is_one()
        self.address = address or os.environ.get(_ADDRESS) or os.environ.get("RAY_ADDRESS") or "auto"
        with self._one_line_errors(), _overriding_address(self.address):
            check_reachable(self.address)
            from ray.job_submission import JobSubmissionClient

            for name in _CHATTY:
                logging.getLogger(f"ray.{name}").setLevel(logging.ERROR)
            self._client = JobSubmissionClient()

    def find(self, job_id: str) -> Job | None:
        """The job of that submission id, None where the cluster has none."""
        try:
            with self._one_line_errors():
                found = self._client.get_job_info(job_id)
        except ClusterError as error:
            if "status code 404" in str(error):
                return None
            raise
        return Job(
            id=job_id,
            entrypoint=found.entrypoint,
            state=str(found.status),
            message=" ".join((found.message or "").split()),
            driver_exit_code=found.driver_exit_code,
        )

    def submit(
        self, job_id: str, entrypoint: str, *, runtime_env: Mapping[str, Any], metadata: Mapping[str, str]
    ) -> bool:
        """Uploads the folders that the runtime environment names and hands the job in.

        False where the cluster has a job of that id already: nothing is uploaded, and that job is left alone.
        """
        if self.find(job_id) is not None:
            return False
        try:
            with self._one_line_errors():
                self._client.submit_job(
                    entrypoint=entrypoint,
                    submission_id=job_id,
                    runtime_env=dict(runtime_env),
                    metadata=dict(metadata),
                )
        except ClusterError:
            if self.find(job_id) is None:
                raise
            return False  # somebody else was faster
        return True

    def follow(self, job_id: str, write: Callable[[str], object]) -> Job:
        """Hands what the job prints to `write`, from its first line on, until it ends; the ended job.

        Connections that break are taken up again where they broke. Interrupting it leaves the job alone.
        """
        seen = 0  # characters
        while not (job := self._patiently_found(job_id)).ended:
            seen = asyncio.run(self._stream(job_id, seen, write))
        try:
            with self._one_line_errors():
                write(self._client.get_job_logs(job_id)[seen:])
        except ClusterError as error:  # how the job ended is known all the same
            write(f"the rest of its log can't be read: {error}\n")
        return job

    async def _stream(self, job_id: str, seen: int, write: Callable[[str], object]) -> int:
        """Follows until the stream ends, breaks or goes quiet; how many characters were written by then, in all."""
        stream, at = self._client.tail_job_logs(job_id), 0
        try:
            while True:
                text = await asyncio.wait_for(anext(stream), _QUIET_S)
                write(text[max(0, seen - at) :])
                at += len(text)
                seen = max(seen, at)
        except StopAsyncIteration:
            pass
        except Exception:  # noqa: BLE001 - whatever broke the stream, the job's state decides how it goes on
            await asyncio.sleep(_FIRST_WAIT_S)
        return seen

    def _patiently_found(self, job_id: str) -> Job:
        """The job, asked for again while its server doesn't answer."""
        wait_s, give_up = _FIRST_WAIT_S, time.monotonic() + _GIVE_UP_S
        while True:
            try:
                job = self.find(job_id)
            except ClusterError as error:
                if time.monotonic() > give_up:
                    raise ClusterError(f"{error}: job {job_id} may go on: follow it again later") from error
                time.sleep(wait_s)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            else:
                if job is None:
                    raise ClusterError(f"{self.address} knows no job {job_id}: it was deleted, or the cluster is new")
                return job

    @contextmanager
    def _one_line_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Ray, requests and aiohttp share no base class
            said = " ".join(str(error).split())
            if said.startswith("Authentication required"):
                said = f"it asks for a token: {REMEDY}"
            elif said.startswith("Authentication failed") or "InvalidAuthToken" in said:
                said = f"it refuses the token: {REMEDY}"
            raise ClusterError(f"job server of {self.address}: {said}") from error


@contextmanager
def _overriding_address(address: str) -> Iterator[None]:
    """Ray lets two variables win over the address it is given; here the address wins."""
    before = os.environ.get(_ADDRESS)
    os.environ[_ADDRESS] = address
    try:
        yield
    finally:
        if before is None:
            del os.environ[_ADDRESS]
        else:
            os.environ[_ADDRESS] = before
