"""An exception for each error of the library. Made from clouds.h by generate.py: do not edit."""
from typing import Dict, Type

from clouds._error import Error, Timeout

__all__ = [
    "Error",
    "Timeout",
    "InvalidArgument",
    "OutOfMemory",
    "Closed",
    "StaleId",
    "BadHandle",
    "WrongThread",
    "Reentered",
    "AfterFork",
    "LimitReached",
    "TooBig",
    "InvalidJson",
    "InvalidUrl",
    "InvalidOption",
    "CallTimeout",
    "NoAvailableServer",
    "ServiceError",
    "NoSuchMethod",
    "Expired",
    "Unreachable",
    "ConnectionLost",
    "Canceled",
    "Overloaded",
    "Draining",
    "RedisError",
    "AuthFailed",
    "ProtocolError",
    "SystemCallError",
    "NotSupported",
    "Exists",
    "KeyConflict",
    "BadArgument",
]


class InvalidArgument(Error, ValueError):
    """CLOUDS_INVALID_ARGUMENT: invalid argument."""

    number = -1
    default_code = "CLOUDS_INVALID_ARGUMENT"
    default_outcome = "NOT_DONE"
    default_message = "invalid argument"


class OutOfMemory(Error):
    """CLOUDS_OUT_OF_MEMORY: out of memory."""

    number = -2
    default_code = "CLOUDS_OUT_OF_MEMORY"
    default_outcome = "NOT_DONE"
    default_message = "out of memory"


class Closed(Error):
    """CLOUDS_CLOSED: closed."""

    number = -3
    default_code = "CLOUDS_CLOSED"
    default_outcome = "NOT_DONE"
    default_message = "closed"


class StaleId(Error):
    """CLOUDS_STALE_ID: no such id, or it is finished."""

    number = -4
    default_code = "CLOUDS_STALE_ID"
    default_outcome = "NOT_DONE"
    default_message = "no such id, or it is finished"


class BadHandle(Error):
    """CLOUDS_BAD_HANDLE: not a live handle of this kind."""

    number = -5
    default_code = "CLOUDS_BAD_HANDLE"
    default_outcome = "NOT_DONE"
    default_message = "not a live handle of this kind"


class WrongThread(Error):
    """CLOUDS_WRONG_THREAD: the context is in use by another thread."""

    number = -6
    default_code = "CLOUDS_WRONG_THREAD"
    default_outcome = "NOT_DONE"
    default_message = "the context is in use by another thread"


class Reentered(Error):
    """CLOUDS_REENTERED: called from inside a hook or during another call."""

    number = -7
    default_code = "CLOUDS_REENTERED"
    default_outcome = "NOT_DONE"
    default_message = "called from inside a hook or during another call"


class AfterFork(Error):
    """CLOUDS_AFTER_FORK: the context was created before fork()."""

    number = -8
    default_code = "CLOUDS_AFTER_FORK"
    default_outcome = "NOT_DONE"
    default_message = "the context was created before fork()"


class LimitReached(Error):
    """CLOUDS_LIMIT_REACHED: a queue or limit is full."""

    number = -9
    default_code = "CLOUDS_LIMIT_REACHED"
    default_outcome = "NOT_DONE"
    default_message = "a queue or limit is full"


class TooBig(Error):
    """CLOUDS_TOO_BIG: larger than the limit."""

    number = -10
    default_code = "CLOUDS_TOO_BIG"
    default_outcome = "NOT_DONE"
    default_message = "larger than the limit"


class InvalidJson(Error):
    """CLOUDS_INVALID_JSON: not valid JSON."""

    number = -11
    default_code = "CLOUDS_INVALID_JSON"
    default_outcome = "NOT_DONE"
    default_message = "not valid JSON"


class InvalidUrl(Error, ValueError):
    """CLOUDS_INVALID_URL: not a valid clouds URL."""

    number = -12
    default_code = "CLOUDS_INVALID_URL"
    default_outcome = "NOT_DONE"
    default_message = "not a valid clouds URL"


class InvalidOption(Error, ValueError):
    """CLOUDS_INVALID_OPTION: unknown option, or a value it cannot take."""

    number = -13
    default_code = "CLOUDS_INVALID_OPTION"
    default_outcome = "NOT_DONE"
    default_message = "unknown option, or a value it cannot take"


class CallTimeout(Timeout):
    """CLOUDS_CALL_SERVICE_TIMEOUT: timeout."""

    number = -14
    default_code = "CLOUDS_CALL_SERVICE_TIMEOUT"
    default_outcome = "UNKNOWN"
    default_message = "timeout"


class NoAvailableServer(Error):
    """CLOUDS_NO_AVAILABLE_SERVER: no available server."""

    number = -15
    default_code = "CLOUDS_NO_AVAILABLE_SERVER"
    default_outcome = "NOT_DONE"
    default_message = "no available server"


class ServiceError(Error):
    """CLOUDS_SERVICE_ERROR: the service answered with an error."""

    number = -16
    default_code = "CLOUDS_SERVICE_ERROR"
    default_outcome = "APP_ERROR"
    default_message = "the service answered with an error"


class NoSuchMethod(Error):
    """CLOUDS_NO_SUCH_METHOD: service handler not found."""

    number = -17
    default_code = "CLOUDS_NO_SUCH_METHOD"
    default_outcome = "NOT_DONE"
    default_message = "service handler not found"


class Expired(Timeout):
    """CLOUDS_EXPIRED: the deadline passed before it was sent."""

    number = -18
    default_code = "CLOUDS_EXPIRED"
    default_outcome = "NOT_DONE"
    default_message = "the deadline passed before it was sent"


class Unreachable(Error, ConnectionError):
    """CLOUDS_UNREACHABLE: not connected."""

    number = -19
    default_code = "CLOUDS_UNREACHABLE"
    default_outcome = "NOT_DONE"
    default_message = "not connected"


class ConnectionLost(Error, ConnectionError):
    """CLOUDS_CONNECTION_LOST: the connection was lost before the answer."""

    number = -20
    default_code = "CLOUDS_CONNECTION_LOST"
    default_outcome = "UNKNOWN"
    default_message = "the connection was lost before the answer"


class Canceled(Error):
    """CLOUDS_CANCELED: canceled."""

    number = -21
    default_code = "CLOUDS_CANCELED"
    default_outcome = "UNKNOWN"
    default_message = "canceled"


class Overloaded(Error):
    """CLOUDS_OVERLOADED: the server is busy."""

    number = -22
    default_code = "CLOUDS_OVERLOADED"
    default_outcome = "NOT_DONE"
    default_message = "the server is busy"


class Draining(Error):
    """CLOUDS_DRAINING: the server is stopping."""

    number = -23
    default_code = "CLOUDS_DRAINING"
    default_outcome = "NOT_DONE"
    default_message = "the server is stopping"


class RedisError(Error):
    """CLOUDS_REDIS_ERROR: Redis answered with an error."""

    number = -24
    default_code = "CLOUDS_REDIS_ERROR"
    default_outcome = "NOT_DONE"
    default_message = "Redis answered with an error"


class AuthFailed(Error):
    """CLOUDS_AUTH_FAILED: authentication failed."""

    number = -25
    default_code = "CLOUDS_AUTH_FAILED"
    default_outcome = "NOT_DONE"
    default_message = "authentication failed"


class ProtocolError(Error):
    """CLOUDS_PROTOCOL_ERROR: the peer broke the protocol."""

    number = -26
    default_code = "CLOUDS_PROTOCOL_ERROR"
    default_outcome = "UNKNOWN"
    default_message = "the peer broke the protocol"


class SystemCallError(Error):
    """CLOUDS_SYSTEM_ERROR: a system call failed."""

    number = -27
    default_code = "CLOUDS_SYSTEM_ERROR"
    default_outcome = "NOT_DONE"
    default_message = "a system call failed"


class NotSupported(Error):
    """CLOUDS_NOT_SUPPORTED: not supported here."""

    number = -28
    default_code = "CLOUDS_NOT_SUPPORTED"
    default_outcome = "NOT_DONE"
    default_message = "not supported here"


class Exists(Error):
    """CLOUDS_EXISTS: exists already."""

    number = -29
    default_code = "CLOUDS_EXISTS"
    default_outcome = "NOT_DONE"
    default_message = "exists already"


class KeyConflict(Error):
    """CLOUDS_KEY_CONFLICT: the idempotency key was used with other content."""

    number = -30
    default_code = "CLOUDS_KEY_CONFLICT"
    default_outcome = "NOT_DONE"
    default_message = "the idempotency key was used with other content"


class BadArgument(Error):
    """CLOUDS_BAD_ARGUMENT: an argument is not what the method takes."""

    number = -31
    default_code = "CLOUDS_BAD_ARGUMENT"
    default_outcome = "NOT_DONE"
    default_message = "an argument is not what the method takes"


BY_NUMBER: Dict[int, Type[Error]] = {
    -1: InvalidArgument,
    -2: OutOfMemory,
    -3: Closed,
    -4: StaleId,
    -5: BadHandle,
    -6: WrongThread,
    -7: Reentered,
    -8: AfterFork,
    -9: LimitReached,
    -10: TooBig,
    -11: InvalidJson,
    -12: InvalidUrl,
    -13: InvalidOption,
    -14: CallTimeout,
    -15: NoAvailableServer,
    -16: ServiceError,
    -17: NoSuchMethod,
    -18: Expired,
    -19: Unreachable,
    -20: ConnectionLost,
    -21: Canceled,
    -22: Overloaded,
    -23: Draining,
    -24: RedisError,
    -25: AuthFailed,
    -26: ProtocolError,
    -27: SystemCallError,
    -28: NotSupported,
    -29: Exists,
    -30: KeyConflict,
    -31: BadArgument,
}
