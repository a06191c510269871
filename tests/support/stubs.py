"""The calls of both services, as clients of other makes would make them."""

from __future__ import annotations

import grpc.aio

from wavemq.wire import mqpb_pb2 as mqpb


class LocalClient:
    """The calls of the local API, as a program's generated stub has them."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.publish: grpc.aio.UnaryUnaryMultiCallable[mqpb.PublishParams, mqpb.PublishResponse] = (
            channel.unary_unary(
                "/mqpb.WAVEMQ/Publish",
                request_serializer=mqpb.PublishParams.SerializeToString,
                response_deserializer=mqpb.PublishResponse.FromString,
            )
        )
        self.subscribe: grpc.aio.UnaryStreamMultiCallable[
            mqpb.SubscribeParams, mqpb.SubscriptionMessage
        ] = channel.unary_stream(
            "/mqpb.WAVEMQ/Subscribe",
            request_serializer=mqpb.SubscribeParams.SerializeToString,
            response_deserializer=mqpb.SubscriptionMessage.FromString,
        )
        self.query: grpc.aio.UnaryStreamMultiCallable[mqpb.QueryParams, mqpb.QueryMessage] = (
            channel.unary_stream(
                "/mqpb.WAVEMQ/Query",
                request_serializer=mqpb.QueryParams.SerializeToString,
                response_deserializer=mqpb.QueryMessage.FromString,
            )
        )
        self.status: grpc.aio.UnaryUnaryMultiCallable[
            mqpb.ConnectionStatusParams, mqpb.ConnectionStatusResponse
        ] = channel.unary_unary(
            "/mqpb.WAVEMQ/ConnectionStatus",
            request_serializer=mqpb.ConnectionStatusParams.SerializeToString,
            response_deserializer=mqpb.ConnectionStatusResponse.FromString,
        )


class PeerClient:
    """The calls of the peering service, as another implementation would make them."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.publish: grpc.aio.UnaryUnaryMultiCallable[
            mqpb.PeerPublishParams, mqpb.PeerPublishResponse
        ] = channel.unary_unary(
            "/mqpb.WAVEMQPeering/PeerPublish",
            request_serializer=mqpb.PeerPublishParams.SerializeToString,
            response_deserializer=mqpb.PeerPublishResponse.FromString,
        )
        self.subscribe: grpc.aio.UnaryStreamMultiCallable[
            mqpb.PeerSubscribeParams, mqpb.SubscriptionMessage
        ] = channel.unary_stream(
            "/mqpb.WAVEMQPeering/PeerSubscribe",
            request_serializer=mqpb.PeerSubscribeParams.SerializeToString,
            response_deserializer=mqpb.SubscriptionMessage.FromString,
        )
        self.unsubscribe: grpc.aio.UnaryUnaryMultiCallable[
            mqpb.PeerUnsubscribeParams, mqpb.PeerUnsubscribeResponse
        ] = channel.unary_unary(
            "/mqpb.WAVEMQPeering/PeerUnsubscribe",
            request_serializer=mqpb.PeerUnsubscribeParams.SerializeToString,
            response_deserializer=mqpb.PeerUnsubscribeResponse.FromString,
        )
        self.query: grpc.aio.UnaryStreamMultiCallable[mqpb.PeerQueryParams, mqpb.QueryMessage] = (
            channel.unary_stream(
                "/mqpb.WAVEMQPeering/PeerQueryRequest",
                request_serializer=mqpb.PeerQueryParams.SerializeToString,
                response_deserializer=mqpb.QueryMessage.FromString,
            )
        )

    async def code_of_publish(self, wire: mqpb.Message) -> int:
        response = await self.publish(mqpb.PeerPublishParams(msg=wire), timeout=10)
        return response.error.code
