"""The door: whether a message, subscription, query or router may pass.

Owns what is asked of each (wavemq.md 3, 9), the memory of verdicts, and, alone in the whole
program, the making of `Verified`. Refuses to know links, queues and matching. Fault model: every
byte comes from an enemy. A verdict is remembered under all its inputs: "granted" for at most six
hours, never past the proof's end and never longer than revocations may go unasked; "denied" for
five minutes; "could not find out" is raised and remembered by nobody.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from wavemq.authz.bounded import BoundedCache, CacheStatistics
from wavemq.authz.proof_names import ProofNames
from wavemq.authz.single_flight import SingleFlight
from wavemq.authz.verdict_cache import VERDICTS_MAX, Claim, Denied, Granted, VerdictCache
from wavemq.authz.verdicts import ProofNotYetValidError, ProofUnresolvedError, ProofVerdict
from wavemq.errors import InvalidSignatureError, ProofInvalidError, WaveMQError
from wavemq.messages.message import (
    Message,
    QueryRequest,
    SubscriptionRequest,
    message_digest,
    query_digest,
    subscription_digest,
)
from wavemq.messages.verified import Verified
from wavemq.wave import signature as message_signature
from wavemq.wave.hashes import WAVEMQ_PERMISSION_SET, Hash
from wavemq.wave.policy import RTreePolicy, Statement, is_subset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wavemq.authz.engine import Engine
    from wavemq.clock import Instant

PROOFS_REMEMBERED_MAX: Final = 4096
"""Proofs whose meaning is remembered; each stands for about 1 KiB."""
PERMISSION_PUBLISH: Final = "publish"
PERMISSION_SUBSCRIBE: Final = "subscribe"
PERMISSION_QUERY: Final = "query"
PERMISSION_ROUTE: Final = "route"
EVERYTHING: Final = "*"


@dataclass(frozen=True, slots=True)
class AdmissionStatistics:
    """What passed the door and what did not; the numbers only grow.

    Attributes:
        admitted: requests that passed.
        refused_signatures: requests with a wrong signature.
        refused_proofs: requests whose proof does not give what they want.
        undecided: requests that could not be decided, mostly because storage was away.
        verdicts: how the memory of verdicts fares.
        proofs: how the memory of proofs fares.
    """

    admitted: int
    refused_signatures: int
    refused_proofs: int
    undecided: int
    verdicts: CacheStatistics
    proofs: CacheStatistics


@dataclass(slots=True)
class _Counts:
    admitted: int = 0
    refused_signatures: int = 0
    refused_proofs: int = 0
    undecided: int = 0

    def count(self, error: WaveMQError) -> None:
        if isinstance(error, InvalidSignatureError):
            self.refused_signatures += 1
        elif isinstance(error, ProofInvalidError):
            self.refused_proofs += 1
        else:
            self.undecided += 1


@dataclass(frozen=True, slots=True)
class _Proved:
    """What a proof means, found out at `since`."""

    verdict: ProofVerdict
    since: Instant


class Admission:
    """Checks requests against the authority of one engine.

    Args:
        engine: decides about proofs and entities.
        verdicts_max: how many verdicts are remembered.
    """

    def __init__(self, engine: Engine, *, verdicts_max: int = VERDICTS_MAX) -> None:
        self._engine = engine
        self._names = ProofNames()
        self._verdicts = VerdictCache(verdicts_max, names=self._names)
        self._proofs: BoundedCache[tuple[bytes, Hash], _Proved] = BoundedCache(
            PROOFS_REMEMBERED_MAX
        )
        self._verifying: SingleFlight[tuple[bytes, Hash], _Proved] = SingleFlight()
        self._heads = message_signature.head_verifier()
        self._counts = _Counts()

    async def aclose(self) -> None:
        """Cancel verifications in flight."""
        await self._verifying.aclose()

    def statistics(self) -> AdmissionStatistics:
        """Return the counts."""
        return AdmissionStatistics(
            admitted=self._counts.admitted,
            refused_signatures=self._counts.refused_signatures,
            refused_proofs=self._counts.refused_proofs,
            undecided=self._counts.undecided,
            verdicts=self._verdicts.statistics(),
            proofs=self._proofs.statistics(),
        )

    # --- requests ---------------------------------------------------------------------------

    async def check_message(self, message: Message, now: Instant) -> Verified[Message]:
        """Return the message as verified: signed by its source, who may publish on its topic.

        Raises:
            InvalidSignatureError: the signature is not the source's (906).
            ProofInvalidError: the proof does not hold, is for another entity, or does not give
                `publish` on the topic (912).
            UnavailableError: it could not be found out.
            ObjectError: an object that the proof refers to is unsound.
        """
        until = await self._check(
            message, message_digest(message), PERMISSION_PUBLISH, message.topic.text, now
        )
        return Verified(message, until)

    async def check_messages(
        self, messages: Sequence[Message], now: Instant
    ) -> list[Verified[Message] | WaveMQError]:
        """Check a batch; the answers are in the order of the messages, refusals in their places.

        A message whose verdict is remembered does not wait for one whose proof must be verified.
        """
        answers = self.known_messages(messages, now)
        slow = [index for index, answer in enumerate(answers) if answer is None]
        found = await asyncio.gather(
            *(self.check_message(messages[index], now) for index in slow), return_exceptions=True
        )
        for index, answer in zip(slow, found, strict=True):
            if isinstance(answer, BaseException) and not isinstance(answer, WaveMQError):
                raise answer
            answers[index] = answer
        return [answer for answer in answers if answer is not None]

    def known_message(
        self, message: Message, now: Instant
    ) -> Verified[Message] | WaveMQError | None:
        """Check a message without waiting, or refuse it; None when its verdict is not known."""
        return self.known_messages((message,), now)[0]

    def known_messages(
        self, messages: Sequence[Message], now: Instant
    ) -> list[Verified[Message] | WaveMQError | None]:
        """Check messages without waiting, their signatures in bulk; answers as `known_message`."""
        answers: list[Verified[Message] | WaveMQError | None] = [None] * len(messages)
        signed: list[tuple[bytes, bytes]] = []
        granted: list[tuple[int, Granted]] = []
        # Messages of a batch share what they have in common, so that their objects tell it apart.
        verdicts: dict[tuple[int, int, int, int], tuple[Granted, bytes] | None] = {}
        for index, message in enumerate(messages):
            inputs = (
                id(message.namespace),
                id(message.source),
                id(message.topic),
                id(message.proof),
            )
            if inputs in verdicts:
                known = verdicts[inputs]
            else:
                known = verdicts[inputs] = self._known_verdict(message, now)
            if known is None:
                continue
            verdict, key = known
            if message.head and key:
                granted.append((index, verdict))
                signed.append((key, message.head))
            else:
                answers[index] = self._checked_alone(message, verdict)
        outcomes = self._heads.verify(signed) if signed else []
        for (index, verdict), is_genuine in zip(granted, outcomes, strict=True):
            if is_genuine:
                self._counts.admitted += 1
                answers[index] = Verified(messages[index], verdict.until)
            else:  # of another form perhaps: whatever it is, it is found out as ever
                answers[index] = self._checked_alone(messages[index], verdict)
        return answers

    def _known_verdict(self, message: Message, now: Instant) -> tuple[Granted, bytes] | None:
        """Return that the source may publish, if that is remembered and fresh, and its key."""
        claim = Claim(message.namespace, message.source, PERMISSION_PUBLISH, message.topic.text)
        verdict = self._verdicts.get(claim, message.proof, now=now)
        if not isinstance(verdict, Granted) or not self._is_fresh(verdict, now):
            return None
        return verdict, next(iter(verdict.signer.message_signing_keys), b"")

    def _checked_alone(self, message: Message, verdict: Granted) -> Verified[Message] | WaveMQError:
        try:
            message_signature.verify(verdict.signer, message.signature, message_digest(message))
        except WaveMQError as error:
            self._counts.count(error)
            return error
        self._counts.admitted += 1
        return Verified(message, verdict.until)

    async def check_subscription(
        self, request: SubscriptionRequest, now: Instant
    ) -> Verified[SubscriptionRequest]:
        """Return the subscription as verified: its source may subscribe to its topic filter.

        Raises:
            InvalidSignatureError, ProofInvalidError, UnavailableError, ObjectError: as
                `check_message`.
        """
        until = await self._check(
            request,
            subscription_digest(request),
            PERMISSION_SUBSCRIBE,
            request.topic_filter.text,
            now,
        )
        return Verified(request, until)

    async def check_query(self, request: QueryRequest, now: Instant) -> Verified[QueryRequest]:
        """Return the query as verified: its source may query its topic filter.

        Raises:
            InvalidSignatureError, ProofInvalidError, UnavailableError, ObjectError: as
                `check_message`.
        """
        until = await self._check(
            request, query_digest(request), PERMISSION_QUERY, request.topic_filter.text, now
        )
        return Verified(request, until)

    # --- routers ----------------------------------------------------------------------------

    async def check_designated_router(
        self,
        *,
        namespace: Hash,
        router: Hash,
        proof: bytes,
        certificate_signature: bytes,
        signature: bytes,
        now: Instant,
    ) -> ProofVerdict:
        """Check what a server shows in the peering handshake (wavemq.md 3).

        Args:
            namespace: for which the link is wanted.
            router: the entity that the server says it is.
            proof: its routing proof.
            certificate_signature: the signature field of the TLS certificate that was seen.
            signature: the server's signature over it, DER.
            now: the present.

        Raises:
            InvalidSignatureError: the certificate is not the entity's.
            ProofInvalidError: the entity may not route everything in the namespace.
            UnavailableError: it could not be found out.
        """
        claim = Claim(namespace, router, PERMISSION_ROUTE, EVERYTHING)
        try:
            granted = await self._grant(claim, proof, now)
            message_signature.verify(granted.signer, signature, certificate_signature)
        except WaveMQError as error:
            self._counts.count(error)
            raise
        self._counts.admitted += 1
        return await self._proof_verdict(proof, namespace, now)

    async def check_designation(self, proof: bytes, *, router: Hash, now: Instant) -> ProofVerdict:
        """Check one of our own routing proofs; the namespace is in the verdict's policy.

        Raises:
            ProofInvalidError: it does not prove `route` on everything for this router.
            UnavailableError: it could not be found out.
        """
        verdict = await self._engine.verify(proof, now=now, subject=router)
        required = _required(
            Claim(verdict.policy.namespace, router, PERMISSION_ROUTE, EVERYTHING), verdict.policy
        )
        if not is_subset(required, verdict.policy):
            raise ProofInvalidError("the proof does not give wavemq:route on *")
        return verdict

    # --- what was granted before ------------------------------------------------------------

    async def check_still_granted(
        self,
        namespace: Hash,
        proof: bytes,
        *,
        now: Instant,
        is_lenient: bool,
        is_anew: bool = False,
    ) -> None:
        """Return if a proof that was admitted before still holds; looks ahead of time.

        Args:
            namespace: whose authority it is about.
            proof: which was admitted, or built here.
            now: the present.
            is_lenient: whether silence of storage counts as an answer.
            is_anew: whether storage is asked whatever is remembered.

        Raises:
            ProofInvalidError: it does not hold any more.
            UnavailableError: it could not be found out.
            ObjectError: an object that it refers to is unsound.
        """
        proved = await self._proof_verdict(proof, namespace, now)
        await self._engine.proofs.check_unrevoked(
            proved.revocations, now=now, is_lenient=is_lenient, is_ahead=True, is_anew=is_anew
        )

    # --- verdicts ---------------------------------------------------------------------------

    async def check_claim(self, claim: Claim, proof: bytes, now: Instant) -> Instant:
        """Return until when `proof` supports `claim`; for proofs that a local client brings.

        Raises:
            ProofInvalidError: it does not.
            UnavailableError: it could not be found out.
        """
        try:
            granted = await self._grant(claim, proof, now)
        except WaveMQError as error:
            self._counts.count(error)
            raise
        return granted.until

    async def _check(
        self,
        request: Message | SubscriptionRequest | QueryRequest,
        digest: bytes,
        permission: str,
        resource: str,
        now: Instant,
    ) -> Instant:
        """Return until when the request may be honoured; exceptions as `check_message`."""
        claim = Claim(request.namespace, request.source, permission, resource)
        try:
            # With the signer at hand the signature goes first: it costs an enemy's flood of
            # topics a hundredth of what their verdicts would cost us.
            signer = self._engine.known_entity(request.source)
            if signer is not None:
                message_signature.verify(signer, request.signature, digest)
            granted = await self._grant(claim, request.proof, now)
            if signer is None:
                message_signature.verify(granted.signer, request.signature, digest)
        except WaveMQError as error:
            self._counts.count(error)
            raise
        self._counts.admitted += 1
        return granted.until

    async def _grant(self, claim: Claim, proof: bytes, now: Instant) -> Granted:
        """Return that the claim holds.

        Raises:
            ProofInvalidError: it does not.
            UnavailableError: it could not be found out.
        """
        verdict = self._verdicts.get(claim, proof, now=now)
        if isinstance(verdict, Granted) and self._is_fresh(verdict, now):
            return verdict
        if isinstance(verdict, Denied):
            raise ProofInvalidError(verdict.reason)
        try:
            verdict = await self._reach(claim, proof, now)
        except (ProofUnresolvedError, ProofNotYetValidError):
            raise
        except ProofInvalidError as error:
            self._verdicts.put(claim, proof, Denied(error.reason), now=now)
            raise
        self._verdicts.put(claim, proof, verdict, now=now)
        return verdict

    async def _reach(self, claim: Claim, proof: bytes, now: Instant) -> Granted:
        """Return a new verdict; the same exceptions as `_grant`."""
        proved = await self._proof_verdict(proof, claim.namespace, now)
        if proved.subject != claim.entity:
            raise ProofInvalidError("proof is well formed but the subject does not match")
        if not is_subset(_required(claim, proved.policy), proved.policy):
            raise ProofInvalidError("proof is well formed but grants insufficient permissions")
        found = await self._engine.proofs.check_unrevoked(proved.revocations, now=now)
        return Granted(proved.expiry, found.fresh_until, found.epoch, proved.subject_entity)

    def _is_fresh(self, verdict: Granted, now: Instant) -> bool:
        """Whether nothing that the verdict depends on can have been revoked since, as we know."""
        return now < verdict.fresh_until and verdict.epoch == self._engine.revocations.epoch

    async def _proof_verdict(self, proof: bytes, namespace: Hash, now: Instant) -> ProofVerdict:
        """Return what a proof proves in a namespace, revocations aside."""
        key = (self._names.name(proof), namespace)
        known = self._proofs.get(key)
        if known is None or now < known.since:  # before: the clock was set back
            known = await self._verifying.run(key, lambda: self._verify(proof, namespace, now))
            self._proofs.put(key, known)
        if now > known.verdict.expiry:
            raise ProofInvalidError("proof contains expired or revoked attestations")
        return known.verdict

    async def _verify(self, proof: bytes, namespace: Hash, now: Instant) -> _Proved:
        verdict = await self._engine.proofs.verify_structure(proof, now=now, namespace=namespace)
        return _Proved(verdict, now)


def _required(claim: Claim, granted: RTreePolicy) -> RTreePolicy:
    """Return the least policy that covers a claim."""
    return replace(
        granted,
        namespace=claim.namespace,
        statements=(Statement(WAVEMQ_PERMISSION_SET, (claim.permission,), claim.resource),),
    )
