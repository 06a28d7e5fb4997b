"""What the HTTP interface answers where it doesn't do what it was asked: one line of JSON, whatever went wrong."""

from collections.abc import Iterable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Match, Route

from airshower.pipelines.row_errors import one_line
from airshower.platform.access import AccessError
from airshower.platform.api_schema import Phase
from airshower.platform.job_runner import QueueFullError
from airshower.platform.posted_spec import BodyError
from airshower.platform.uploads import BodyStalledError, BodyTooLargeError

RETRY_AFTER_S = 10

_STATUS: dict[type[Exception], int] = {
    AccessError: 422,
    BodyError: 422,
    BodyTooLargeError: 413,
    BodyStalledError: 408,
}


def add_refusals(app: FastAPI) -> None:
    """Has the application answer every error in the one form."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _fault)


def as_refusal(error: BaseException) -> BaseException:
    """What goes wrong with a request, as what is answered; other errors as they are."""
    if isinstance(error, QueueFullError):
        return HTTPException(429, str(error), headers={"Retry-After": str(RETRY_AFTER_S)})
    if isinstance(error, ClientDisconnect):
        return HTTPException(400, "the request ended before its body did")  # which nobody hears
    if isinstance(error, OSError):
        reason = error.strerror or error
        return HTTPException(507, f"the server can't store the request ({reason}): free space in its work folder")
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), None)
    return error if status is None else HTTPException(status, str(error))


def not_open(phase: Phase) -> HTTPException:
    """The refusal of a service that starts or stops."""
    remedy = "ask again" if phase == "starting" else "ask again when it runs"
    return HTTPException(503, f"the service is {phase}: {remedy}", headers={"Retry-After": str(RETRY_AFTER_S)})


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # what it is registered for
    detail, headers = str(error.detail), dict(error.headers or {})
    path = f"{request.url.path!a:.60}"
    if error.status_code == 405:
        allowed = ", ".join(sorted(_methods(request, request.app.routes)))
        detail, headers["Allow"] = f"{path} has no {request.method!a:.20}: use {allowed}", allowed
    elif error.status_code == 404 and detail == "Not Found":
        detail = f"{path} is nothing here: /docs lists what is"
    return JSONResponse({"error": one_line(detail)}, error.status_code, headers=headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": one_line(str(error))}, 422)


async def _fault(request: Request, error: Exception) -> JSONResponse:
    words = f"{type(error).__name__}: this is a bug in the service, whose log says more"
    return JSONResponse({"error": words}, 500)


def _methods(request: Request, routes: Iterable[BaseRoute]) -> set[str]:
    """Methods that some route of the request's path has."""
    matching = (route for route in routes if isinstance(route, Route) and route.matches(request.scope)[0] != Match.NONE)
    return {method for route in matching for method in route.methods or ()}
