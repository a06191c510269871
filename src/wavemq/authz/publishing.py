"""The local door: what a router does in the name of a client that hands over its entity.

Owns the way from a client's secret and wishes to a signed, proved and, where asked for, encrypted
message, subscription or query, and back from a delivered message to its contents (wavemq.md 6, 7,
9, 10). Refuses to know clients' connections, queues and the wire. Fault model: clients may hand
over anything; storage may be away, and a first proof is then looked for in what is known, within
a second in all. Secrets stay in memory and in no message, log or error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from wavemq._kernel import form_messages
from wavemq.authz.admission import (
    PERMISSION_PUBLISH,
    PERMISSION_QUERY,
    PERMISSION_SUBSCRIBE,
    Admission,
)
from wavemq.authz.bounded import CacheStatistics
from wavemq.authz.callers import Callers
from wavemq.authz.client_proofs import ClientProofs, is_up_to_date
from wavemq.authz.contents import open_e2ee, open_jedi, seal_e2ee, seal_jedi
from wavemq.authz.prepared import PlainDraft, Prepared, PreparedPublishes
from wavemq.authz.revocation import Standing
from wavemq.authz.validity import period_of_entity
from wavemq.authz.verdict_cache import Claim
from wavemq.clock import NANOSECONDS_PER_SECOND, Instant
from wavemq.errors import (
    MessageDecryptError,
    NoProofFoundError,
    UnavailableError,
)
from wavemq.messages.message import (
    Message,
    PayloadObject,
    QueryRequest,
    SubscriptionRequest,
    made_message,
    made_payload_object,
    message_digest,
    query_digest,
    subscription_digest,
)
from wavemq.messages.verified import Verified
from wavemq.quickly import quickly
from wavemq.wave import signature as message_signature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wavemq.authz.engine import Engine
    from wavemq.authz.perspective import Perspective
    from wavemq.messages.topic import Topic, TopicFilter
    from wavemq.wave.hashes import Hash
    from wavemq.wave.location import Location


@dataclass(frozen=True, slots=True)
class PublishingStatistics:
    """How the local door fares; counts only grow.

    Attributes:
        proofs_built: proofs looked for and found.
        proofs_missing: proofs looked for and not found.
        messages_opened: payloads decrypted for delivery.
        messages_unreadable: payloads that their reader may not read.
        secrets: how the memory of opened secrets fares.
        proofs: how the memory of built proofs fares.
    """

    proofs_built: int
    proofs_missing: int
    messages_opened: int
    messages_unreadable: int
    secrets: CacheStatistics
    proofs: CacheStatistics


_made_verified: Final = quickly(Verified)


class Publishing:
    """Forms requests for local clients and opens what is delivered to them.

    Args:
        engine: decides and proves.
        admission: checks proofs that clients bring along.
        origin_router: this router's id, which goes into every message that it forms.
    """

    def __init__(self, engine: Engine, admission: Admission, *, origin_router: str) -> None:
        self._engine = engine
        self._admission = admission
        self._origin_router = origin_router
        self._callers = Callers(engine)
        self._proofs = ClientProofs(engine, admission)
        self._prepared = PreparedPublishes(origin_router)
        self._messages_opened = 0
        self._messages_unreadable = 0

    async def aclose(self) -> None:
        """Cancel proofs being built."""
        await self._proofs.aclose()

    def statistics(self) -> PublishingStatistics:
        """Return the counts."""
        return PublishingStatistics(
            proofs_built=self._proofs.built,
            proofs_missing=self._proofs.missing,
            messages_opened=self._messages_opened,
            messages_unreadable=self._messages_unreadable,
            secrets=self._callers.statistics(),
            proofs=self._proofs.statistics(),
        )

    # --- who --------------------------------------------------------------------------------

    async def identify(
        self, secret: bytes, passphrase: bytes, location: Location | None, now: Instant
    ) -> Perspective:
        """Return the perspective of the secret that a client handed over; see `Callers`."""
        return await self._callers.identify(secret, passphrase, location, now)

    # --- forming ----------------------------------------------------------------------------

    async def form_message(
        self,
        perspective: Perspective,
        *,
        namespace: Hash,
        topic: Topic,
        payload: Sequence[PayloadObject],
        now: Instant,
        encryption_partition: Sequence[bytes] = (),
        is_jedi: bool = False,
        is_persisted: bool = False,
        custom_proof: bytes = b"",
    ) -> Verified[Message]:
        """Return a message that is proved, encrypted if asked for, signed, and may be routed.

        Args:
            perspective: who publishes.
            namespace: where.
            topic: on what.
            payload: the contents.
            now: the present.
            encryption_partition: elements of the end-to-end encrypted resource; none: plain.
            is_jedi: whether the payload is encrypted as a whole by topic and hour, outside of any
                end-to-end encryption of its contents.
            is_persisted: whether the designated router keeps it for queries.
            custom_proof: the client's own proof; it is verified like a stranger's.

        Raises:
            NoProofFoundError: no known grant lets this entity publish there.
            ProofInvalidError: the client's own proof does not.
            InvalidE2EEGrantError, InvalidJEDIGrantError, InvalidParameterError: the content cannot
                be encrypted so, or is too large when it is.
            UnavailableError: the client's own proof or the namespace's keys could not be
                resolved.
        """
        claim = Claim(namespace, perspective.hash, PERMISSION_PUBLISH, topic.text)
        proof, until = await self._proofs.prove(perspective, claim, custom_proof, now)
        if encryption_partition:
            payload = await seal_e2ee(
                self._engine, perspective, namespace, encryption_partition, payload, now
            )
        jedi_timestamp = None
        if is_jedi:
            payload = await seal_jedi(
                self._engine.jedi, perspective, namespace, topic.text, payload, now
            )
            jedi_timestamp = now // NANOSECONDS_PER_SECOND
        unsigned = Message(
            source=perspective.hash,
            source_location=perspective.location,
            namespace=namespace,
            topic=topic,
            payload=tuple(payload),
            origin_router=self._origin_router,
            jedi_timestamp=jedi_timestamp,
            proof=proof,
            signature=b"",
            encryption_partition=tuple(encryption_partition),
            timestamps=(),
            drops=(),
            is_persisted=is_persisted,
        )
        signature = self.sign(perspective, message_digest(unsigned))
        return Verified(replace(unsigned, signature=signature), until)

    # --- forming again and again ------------------------------------------------------------

    async def prepare(
        self, caller: bytes, perspective: Perspective, namespace: Hash, topic: Topic, now: Instant
    ) -> None:
        """Remember what it takes to form further plain messages of a caller on a topic.

        Call it when one was formed, so that everything is known. Where something is not, nothing is
        remembered.

        Args:
            caller: names what the client shows; the same only if all of that is.
            perspective: who publishes.
            namespace: where.
            topic: on what.
            now: the present.
        """
        claim = Claim(namespace, perspective.hash, PERMISSION_PUBLISH, topic.text)
        held = self._proofs.known(claim, now)
        if held is None:
            return
        entity = perspective.entity
        found = await self._engine.revocations.check_patiently(
            entity.revocations, now=now, patience_s=0.0
        )
        if found.standing is Standing.REVOKED or not period_of_entity(entity, now).is_valid:
            return
        prepared = Prepared(
            source=perspective.hash,
            location=perspective.location,
            namespace=namespace,
            topic=topic,
            held=held,
            signer=self._prepared.signer_of(perspective),
            since=now,
            until=min(found.fresh_until, entity.validity.not_after),
            epoch=found.epoch,
        )
        self._prepared.put(caller, prepared)

    def prepared(self, caller: bytes, namespace: bytes, topic: str) -> Prepared | None:
        """Return what was prepared for a caller; look whether it is usable when using it."""
        return self._prepared.get(caller, namespace, topic)

    def is_usable(self, prepared: Prepared, now: Instant) -> bool:
        """Whether nothing that was prepared can have changed, as far as is known."""
        return prepared.is_usable(now, self._engine.revocations.epoch)

    def form_prepared(self, drafts: Sequence[PlainDraft]) -> list[Verified[Message]]:
        """Return messages, each proved and signed, as `form_message` would.

        Args:
            drafts: what was prepared must be usable now.
        """
        formed = form_messages(
            [
                (prepared.signer, prepared.namespace.to_bytes(), prepared.topic.text, payload)
                for prepared, payload, _ in drafts
            ]
        )
        messages: list[Verified[Message]] = []
        for (prepared, payload, is_persisted), (signature, head) in zip(
            drafts, formed, strict=True
        ):
            proof = prepared.held.proof
            message = made_message(
                prepared.source,
                prepared.location,
                prepared.namespace,
                prepared.topic,
                tuple([made_payload_object(schema, content) for schema, content in payload]),
                self._origin_router,
                None,
                proof.der,
                signature,
                (),
                (),
                (),
                is_persisted,
                head,
            )
            messages.append(_made_verified(message, proof.expiry))
        return messages

    async def form_subscription(
        self,
        perspective: Perspective,
        *,
        namespace: Hash,
        topic_filter: TopicFilter,
        identifier: str,
        expiry_s: int,
        now: Instant,
        absolute_expiry: Instant | None = None,
        custom_proof: bytes = b"",
    ) -> Verified[SubscriptionRequest]:
        """Return a signed and proved subscription, which never outlives its proof.

        Raises:
            NoProofFoundError: no known grant lets this entity subscribe there.
            ProofInvalidError: the client's own proof does not.
            UnavailableError: the client's own proof could not be checked.
        """
        claim = Claim(namespace, perspective.hash, PERMISSION_SUBSCRIBE, topic_filter.text)
        proof, until = await self._proofs.prove(perspective, claim, custom_proof, now)
        unsigned = SubscriptionRequest(
            source=perspective.hash,
            source_location=perspective.location,
            namespace=namespace,
            topic_filter=topic_filter,
            identifier=identifier,
            router_id=self._origin_router,
            expiry_s=expiry_s,
            absolute_expiry=until if absolute_expiry is None else min(absolute_expiry, until),
            proof=proof,
            signature=b"",
        )
        signature = self.sign(perspective, subscription_digest(unsigned))
        return Verified(replace(unsigned, signature=signature), until)

    async def reprove(
        self, request: SubscriptionRequest, now: Instant
    ) -> Verified[SubscriptionRequest] | None:
        """Return a subscription formed here with another proof, since its own was revoked.

        The signature does not cover the proof, so it stays.

        Args:
            request: as it was formed, or found on disk.
            now: the present.

        Returns:
            None when no known grant gives it any more, or its entity was not here lately.
        """
        perspective = self._engine.known_perspective(request.source, request.source_location)
        if perspective is None:
            return None
        claim = Claim(
            request.namespace, request.source, PERMISSION_SUBSCRIBE, request.topic_filter.text
        )
        try:
            proof, until = await self._proofs.prove(perspective, claim, b"", now)
        except (NoProofFoundError, UnavailableError):
            return None
        asked = request.absolute_expiry
        end = until if asked is None else min(asked, until)
        return Verified(replace(request, proof=proof, absolute_expiry=end), until)

    async def form_query(
        self,
        perspective: Perspective,
        *,
        namespace: Hash,
        topic_filter: TopicFilter,
        now: Instant,
        custom_proof: bytes = b"",
    ) -> Verified[QueryRequest]:
        """Return a signed and proved query.

        Raises:
            NoProofFoundError: no known grant lets this entity query there.
            ProofInvalidError: the client's own proof does not.
            UnavailableError: the client's own proof could not be checked.
        """
        claim = Claim(namespace, perspective.hash, PERMISSION_QUERY, topic_filter.text)
        proof, until = await self._proofs.prove(perspective, claim, custom_proof, now)
        unsigned = QueryRequest(
            source=perspective.hash,
            namespace=namespace,
            topic_filter=topic_filter,
            proof=proof,
            signature=b"",
        )
        signature = self.sign(perspective, query_digest(unsigned))
        return Verified(replace(unsigned, signature=signature), until)

    def sign(self, perspective: Perspective, content: bytes) -> bytes:
        """Return the entity's message signature over `content` as it is, DER (wave.md 14.4)."""
        return message_signature.sign(perspective.secret, content)

    # --- delivery ---------------------------------------------------------------------------

    async def open_payload(
        self, perspective: Perspective, message: Message, now: Instant | None = None
    ) -> tuple[PayloadObject, ...]:
        """Return the contents of a message for one reader, in order.

        Args:
            perspective: the reader.
            message: what is to be delivered.
            now: the present; given, a reader without a key has his grants looked for once more
                if that was not done lately, which takes half a second at most.

        Raises:
            MessageDecryptError: the reader holds no key for it.
            ObjectError: a content is not what its encryption says.
        """
        if not message.is_encrypted:
            return message.payload
        try:
            try:
                payload = await self._open(perspective, message)
            except MessageDecryptError:
                if now is None or is_up_to_date(perspective, now):
                    raise
                await self._proofs.synchronize(perspective, now)
                payload = await self._open(perspective, message)
        except MessageDecryptError:
            self._messages_unreadable += 1
            raise
        self._messages_opened += 1
        return payload

    async def _open(self, perspective: Perspective, message: Message) -> tuple[PayloadObject, ...]:
        """Return the contents with the keys that the reader has now."""
        payload = message.payload
        if message.jedi_timestamp is not None:
            payload = await open_jedi(self._engine.jedi, perspective, message)
        if message.encryption_partition:
            payload = await open_e2ee(self._engine, perspective, payload)
        return payload
