"""What a storage service or the network has said, read off an error and its causes whatever client library raised it.

fsspec loads those libraries by name and not all of them are installed, so their errors are known by what they carry
(botocore's `response`, aiohttp's `status`, Azure's `status_code`, Google's `code`) and by the names of their classes.
"""

import re
from collections.abc import Iterator, Mapping

_NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"}
NO_BUCKET = "there is no such bucket: create it or correct the location"
_EXPLAINED = {
    "NoSuchBucket": NO_BUCKET,
    "ContainerNotFound": NO_BUCKET,
    "InvalidAccessKeyId": "the service doesn't know the access key: check AWS_ACCESS_KEY_ID or the profile",
    "SignatureDoesNotMatch": "the secret key doesn't fit the access key: check AWS_SECRET_ACCESS_KEY or the profile",
    "ExpiredToken": "the credentials have expired: renew them",
    "InvalidToken": "the session token isn't valid: renew the credentials",
    "AuthenticationFailed": "the service doesn't accept the account's key: check it and this machine's clock",
    "AccessDenied": "access is denied: allow these credentials to list the bucket and to read, write and delete in it",
    "RequestTimeTooSkewed": "this machine's clock and the service's are too far apart: set the clock (NTP)",
    "PermanentRedirect": "the bucket is in another region: set AWS_DEFAULT_REGION to it",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set AWS_DEFAULT_REGION to it",
    "NotImplemented": "the service knows no conditional writes (If-None-Match): use one that does, or a shared folder",
}


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on to the first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        reason = getattr(current, "reason", None)  # urllib's
        current = current.__cause__ or (reason if isinstance(reason, BaseException) else None)


def service_code(error: BaseException) -> str:
    """The service's own word, such as SlowDown or NoSuchBucket; "" where it has said none."""
    for cause in causes(error):
        response = getattr(cause, "response", None)
        if isinstance(response, Mapping):
            return str(response.get("Error", {}).get("Code", ""))
        if code := getattr(cause, "error_code", None):  # Azure's
            return str(getattr(code, "value", code))
    return ""


def said(error: BaseException) -> str:
    """An error's own words in one line, without what follows a URL's path: that may be a signature."""
    words = " ".join((getattr(error, "strerror", None) or str(error)).split()) or type(error).__name__
    return re.sub(r"(https?://[^\s?\"]*)\?[^\s\"]*", r"\1", words)


def in_one_line(error: BaseException) -> str:
    """All that an error says, in one line, or else its type."""
    return " ".join(str(error).split()) or type(error).__name__


def http_status(error: BaseException) -> int | None:
    """The status of the service's answer, None where there was no answer."""
    for cause in causes(error):
        response = getattr(cause, "response", None)
        metadata = response.get("ResponseMetadata", {}) if isinstance(response, Mapping) else {}
        found = (
            metadata.get("HTTPStatusCode"),
            *(getattr(cause, name, None) for name in ("status", "status_code", "code")),
            getattr(response, "status_code", None),
        )
        for status in found:
            if isinstance(status, int) and 100 <= status < 600:
                return status
    return None


def class_names(error: BaseException) -> set[str]:
    """Names of the classes of an error and its causes, and of all that those derive from."""
    return {parent.__name__ for cause in causes(error) for parent in type(cause).__mro__}


def explained(error: BaseException) -> str:
    """One line: what went wrong, and the remedy where one is known."""
    if remedy := _EXPLAINED.get(service_code(error)):
        return remedy
    if _NO_CREDENTIALS & class_names(error):
        return "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile or role"
    answer = service_code(error) or http_status(error)
    return f"the service refuses ({answer}): {said(error)}" if answer else f"can't be reached: {said(error)}"
