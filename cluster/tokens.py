"""The token with which clusters know their users, found where Ray's own commands find it.

A cluster says itself whether it asks for one, and the token is sent only where it does: a driver that checks tokens
could not be spoken to by workers that have none. A token is `RAY_AUTH_TOKEN`, or in the file that
`RAY_AUTH_TOKEN_PATH` names, or in `~/.ray/auth_token`; `RAY_AUTH_MODE=disabled` keeps it here.
"""

import os
from pathlib import Path

_MODE = "RAY_AUTH_MODE"
_DEFAULT_FILE = "~/.ray/auth_token"
_ANSWER_TIMEOUT_S = 10.0
# Of a cluster, and of the server behind ray:// addresses: one that is unknown there is not refused for want of a token.
_METHODS = ("/ray.rpc.NodeInfoGcsService/GetClusterId", "/ray.rpc.RayletDriver/ClusterInfo")

REMEDY = f"put the cluster's into {_DEFAULT_FILE} or RAY_AUTH_TOKEN"


class TokenError(RuntimeError):
    """A cluster lets nobody in without its token, and this user's is another one, or isn't there."""


def use_token_where_asked(address: str) -> None:
    """The token is sent from now on, if the cluster at host:port asks for one. Raises TokenError if it is in vain."""
    if not _is_refused(address):
        return
    if not _is_sent():
        if _MODE in os.environ:
            raise TokenError(f"it asks for a token, and {_MODE}={os.environ[_MODE]} keeps it here: unset {_MODE}")
        if not use_token_if_there_is_one():
            raise TokenError(f"it asks for a token: {REMEDY}")
        if not _is_refused(address):
            return
    raise TokenError(f"it refuses the token of {_place()}: {REMEDY}")


def use_token_if_there_is_one() -> bool:
    """A token that is there is sent from now on, unless RAY_AUTH_MODE says otherwise; whether it is."""
    if _MODE not in os.environ and _place() is not None:
        os.environ[_MODE] = "token"
        from ray._raylet import Config  # type: ignore[attr-defined]

        Config.initialize("")  # Ray may have been imported before, and reads its environment once
    return os.environ.get(_MODE) == "token"


def _place() -> str | None:
    """Where the token is."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return "RAY_AUTH_TOKEN"
    places = (os.environ.get("RAY_AUTH_TOKEN_PATH"), _DEFAULT_FILE)
    return next((place for place in places if place and Path(place).expanduser().is_file()), None)


def _is_sent() -> bool:
    from ray._raylet import AuthenticationMode, get_authentication_mode  # type: ignore[attr-defined]

    return get_authentication_mode() == AuthenticationMode.TOKEN


def _is_refused(address: str) -> bool:
    """Whether a call is, for want of the right token. A cluster that doesn't answer is left to Ray."""
    import grpc
    from ray._private.grpc_utils import init_grpc_channel
    from ray.exceptions import AuthenticationError

    with init_grpc_channel(address) as channel:
        for method in _METHODS:
            try:
                channel.unary_unary(method)(b"", timeout=_ANSWER_TIMEOUT_S, metadata=(("client_id", "airshower"),))
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                    return True
            except AuthenticationError as error:
                raise TokenError(f"{_MODE}={os.environ.get(_MODE)}, and there is no token: {REMEDY}") from error
    return False
