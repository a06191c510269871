"""The answers of one query.

Owns the stream of a Query and its two uses, as a list and as an iterator. Refuses to know what is
retained where. Fault model: the router or its designated router may fail in the middle; what was
yielded by then is sound, the rest is an error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from typing import Final

import grpc.aio

from wavemq.client.connection import Metadata, RouterConnection
from wavemq.client.failures import error_from_rpc
from wavemq.client.received import Received
from wavemq.errors import InvalidParameterError
from wavemq.wire import mqpb_pb2 as mqpb
from wavemq.wire.convert import message_from_wire, raise_wire_error

QUERY_ANSWERS_MAX: Final = 10_000
"""Answers that awaiting a query gathers in memory; more are for `async for`."""


class QueryAnswers:
    """The answers of one query: `await` it for a list, or `async for` over it; each use asks anew.

    Args:
        connection: to the local router.
        request: what to ask.
        metadata: sent with it.
        timeout_s: seconds for the whole answer.
    """

    def __init__(
        self,
        connection: RouterConnection,
        request: mqpb.QueryParams,
        *,
        metadata: Metadata,
        timeout_s: float,
    ) -> None:
        self._connection = connection
        self._request = request
        self._metadata = metadata
        self._timeout_s = timeout_s

    def __await__(self) -> Generator[object, None, list[Received]]:
        """Return all answers as a list.

        Raises:
            InvalidParameterError: more than `QUERY_ANSWERS_MAX` topics match.
        """
        return self._gather().__await__()

    async def __aiter__(self) -> AsyncIterator[Received]:
        """Yield the answers as they come.

        Raises:
            DesignatedRouterLinkDownError: the router has no link to ask over.
            UpstreamError: the designated router refused.
            NoProofFoundError: the entity has no `query` grant that covers the filter.
            UnavailableError: the router did not answer in time.
        """
        await self._connection.wait_ready(self._timeout_s)
        call = self._connection.query(
            self._request, metadata=self._metadata, timeout=self._timeout_s
        )
        try:
            async for response in call:
                raise_wire_error(response.error)
                yield Received.from_message(message_from_wire(response.message))
        except grpc.aio.AioRpcError as failure:
            raise error_from_rpc(failure, self._connection.address) from failure
        finally:
            call.cancel()

    async def _gather(self) -> list[Received]:
        found: list[Received] = []
        async for answer in self:
            if len(found) == QUERY_ANSWERS_MAX:
                raise InvalidParameterError(
                    f"the query matches more than {QUERY_ANSWERS_MAX} topics; "
                    "use `async for` instead of `await`, or a narrower filter"
                )
            found.append(answer)
        return found
