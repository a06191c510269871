"""What a failed RPC means to the caller.

Owns the mapping from gRPC statuses to `wavemq.errors`, made once at this seam, and the one error
that only the SDK can raise. Refuses to decide whether to retry. Fault model: any status, with any
text, may come from anything that listens on the address.
"""

from __future__ import annotations

import grpc
import grpc.aio

from wavemq.errors import (
    Code,
    DeadlineError,
    InvalidParameterError,
    RemoteProtocolError,
    UnavailableError,
    WaveMQError,
)


class PublishUnconfirmedError(WaveMQError):
    """A publish was sent and no answer came: the router may or may not have taken the message.

    The SDK never sends it again by itself, since that could deliver it twice. Publish again if your
    readers can bear a duplicate. On purpose no `UnavailableError`: code that retries on those must
    not repeat a publish without knowing it.
    """

    code = Code.CONTEXT


def error_from_rpc(failure: grpc.aio.AioRpcError, address: str) -> WaveMQError:
    """Return our error for a failed RPC to the router at `address`."""
    status = failure.code()
    details = failure.details() or "no details"
    match status:
        case grpc.StatusCode.UNAVAILABLE:
            return UnavailableError(f"the router at {address} is not reachable: {details}")
        case grpc.StatusCode.DEADLINE_EXCEEDED | grpc.StatusCode.CANCELLED:
            return DeadlineError(f"the router at {address} did not answer in time")
        case grpc.StatusCode.RESOURCE_EXHAUSTED | grpc.StatusCode.INVALID_ARGUMENT:
            return InvalidParameterError(f"the router at {address} refused the request: {details}")
        case grpc.StatusCode.UNIMPLEMENTED:
            return RemoteProtocolError(
                f"what listens at {address} is not a WAVEMQ router's local door: {details}"
            )
        case _:
            return RemoteProtocolError(
                f"the call to the router at {address} failed with {status.name}: {details}"
            )
