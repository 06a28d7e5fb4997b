"""What passes by itself is tried again, after random waits that grow; all else is raised at once."""

import errno
import http.client
import os
import socket
import ssl
import urllib.error

import aiohttp
import botocore.exceptions
import pytest
from fsspec.exceptions import FSTimeoutError
from s3fs.errors import translate_boto_error

from airshower.cluster.backoff import is_transient, retrying


def answer(status, code="", operation="PutObject"):
    return botocore.exceptions.ClientError(
        {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation
    )


def raised_from(error, cause):
    error.__cause__ = cause
    return error


def numbered(number):
    return OSError(number, os.strerror(number))


class AnswerError(Exception):
    """As gcsfs and azure.core raise them."""

    def __init__(self, **carried):
        super().__init__("an answer")
        vars(self).update(carried)


@pytest.mark.parametrize(
    "error",
    [
        answer(503, "SlowDown"),
        answer(500, "InternalError"),
        answer(429),
        answer(400, "RequestTimeout"),
        answer(409, "ConditionalRequestConflict"),
        translate_boto_error(answer(503, "503")),
        raised_from(OSError("s3://a/b: the service refuses"), translate_boto_error(answer(503, "SlowDown"))),
        botocore.exceptions.EndpointConnectionError(endpoint_url="http://a"),
        botocore.exceptions.ReadTimeoutError(endpoint_url="http://a"),
        botocore.exceptions.ConnectionClosedError(endpoint_url="http://a"),
        aiohttp.ClientPayloadError("cut off"),
        aiohttp.ServerDisconnectedError(),
        FSTimeoutError(),
        TimeoutError(),
        ConnectionResetError(),
        http.client.IncompleteRead(b""),
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
        urllib.error.URLError(ConnectionRefusedError()),
        AnswerError(code=503),
        AnswerError(status_code=500),
        AnswerError(status=429),
        *(numbered(number) for number in (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENETUNREACH)),
    ],
    ids=repr,
)
def test_what_passes(error):
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        answer(403, "AccessDenied"),
        answer(403, "RequestTimeTooSkewed"),
        answer(404, "NoSuchBucket"),
        answer(412, "PreconditionFailed"),
        answer(501, "NotImplemented"),
        translate_boto_error(answer(404, "404", "HeadObject")),
        translate_boto_error(answer(400, "NoSuchThing")),  # s3fs gives it EIO
        botocore.exceptions.NoCredentialsError(),
        raised_from(OSError(errno.EIO, "tls"), ssl.SSLCertVerificationError("self-signed")),
        AnswerError(code=404),
        AnswerError(status_code=403),
        *(numbered(number) for number in (errno.ENOSPC, errno.ENOENT, errno.EACCES, errno.EINVAL, errno.EROFS)),
        ValueError("not an error of storage"),
        KeyboardInterrupt(),
        SystemExit(500),
    ],
    ids=repr,
)
def test_what_stays(error):
    assert not is_transient(error)


def failing(times, error):
    left = [error] * times

    def call():
        if left:
            raise left.pop()
        return "done"

    return call


def test_waits_are_random_and_grow_to_the_most():
    waits, told = [], []
    most_s = [0.5, 1, 2, 4, 4]
    for _ in range(200):
        waits.append([])
        call = failing(5, TimeoutError("late\nagain"))
        assert retrying(call, "s3://a/b", most_s=4, on_wait=told.append, sleep=waits[-1].append) == "done"
    for number, most in enumerate(most_s):
        found = [wait[number] for wait in waits]
        assert 0 <= min(found) < 0.2 * most
        assert 0.8 * most < max(found) <= most
    assert told[0].startswith("s3://a/b: late again: try 2 of 6 in 0.")


def test_the_last_error_is_raised_as_it_is():
    error = TimeoutError("late")
    with pytest.raises(TimeoutError) as raised:
        retrying(failing(6, error), "a", sleep=lambda wait_s: None)
    assert raised.value is error


def test_what_stays_is_not_tried_again():
    slept = []
    with pytest.raises(PermissionError):
        retrying(failing(1, PermissionError()), "a", sleep=slept.append)
    assert slept == []
