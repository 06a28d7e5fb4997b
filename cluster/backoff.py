"""Trying again what may go well a little later: which errors pass by themselves, and waiting between tries.

Deliberately not for what needs somebody to act: a full disk, a missing file, a refused access.
"""

import errno
import logging
import random
import socket
import ssl
import time
from collections.abc import Callable
from typing import TypeVar

from airshower.cluster.service_errors import causes, class_names, http_status, said, service_code

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

_ERRNOS = {
    *(errno.EIO, errno.EREMOTEIO, errno.ESTALE, errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ETIMEDOUT),
    *(errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.ENOTCONN, errno.EPIPE),
    *(errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH),
}
_STATUSES = {408, 425, 429, 500, 502, 503, 504}
_CODES = {  # of services whose status alone wouldn't say it, S3's first of all
    *("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "RequestTimeoutException"),
    *("Throttling", "ThrottlingException", "RequestLimitExceeded", "BandwidthLimitExceeded", "TooManyRequests"),
    *("ConditionalRequestConflict", "OperationAborted", "IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch"),
}
_CLASSES = {
    *("HTTPClientError", "ConnectionError", "IncompleteReadError", "ResponseParserError"),  # botocore
    *("ClientConnectionError", "ClientPayloadError"),  # aiohttp
    *("IncompleteRead", "TransportError", "ChunkedEncodingError"),  # http.client, httpx and google.auth, requests
    *("ServiceRequestError", "ServiceResponseError"),  # azure.core
}


def is_transient(error: BaseException) -> bool:
    """Whether the same call may go well later: what a service answered decides, or else what the network did."""
    if not isinstance(error, Exception):
        return False
    code, status = service_code(error), http_status(error)
    if code in _CODES:
        return True
    if status is not None:
        return status in _STATUSES
    if code:
        return code.isdigit() and int(code) in _STATUSES
    names = class_names(error)
    found = list(causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in found):
        return False
    if names & _CLASSES or any(isinstance(cause, TimeoutError | ConnectionError | socket.gaierror) for cause in found):
        return True
    return any(isinstance(cause, OSError) and cause.errno in _ERRNOS for cause in found)


def retrying(
    call: Callable[[], Result],
    what: str,
    *,
    attempts: int = 6,
    first_s: float = 0.5,
    most_s: float = 30.0,
    on_wait: Callable[[str], None] = _log.warning,
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """What `call` returns, called again after transient errors; raises other ones, and the last one, as they are.

    Waits for a random part of `first_s`, then of twice as much, and so on up to `most_s`, so that many workers that
    were refused together don't come back together. `on_wait` is told of each wait in one line that names `what`.
    """
    for attempt in range(1, attempts):
        try:
            return call()
        except Exception as error:
            if not is_transient(error):
                raise
            wait_s = random.uniform(0, min(most_s, first_s * 2 ** (attempt - 1)))
            on_wait(f"{what}: {said(error)}: try {attempt + 1} of {attempts} in {wait_s:.1f} s")
            sleep(wait_s)
    return call()
