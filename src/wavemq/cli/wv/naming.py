"""`name`: giving an entity a name.

Owns what the command does and prints. Refuses to know the format of declarations. Fault model:
storage may be away; nothing is named then.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wavemq.agent import calls
from wavemq.cli.wv.identities import identify
from wavemq.cli.wv.rendering import hash_text
from wavemq.cli.wv.session import Session, perspective_of
from wavemq.cli.wv.text import UsageFaultError, instant_after, quote
from wavemq.clock import milliseconds_from_instant
from wavemq.wave.name import PRIVATE_PARTITION
from wavemq.wave.partition import BODY_TAG
from wavemq.wire import wave_pb2 as pb

USAGE = "usage: name [flags] entity name"


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRequest:
    """What `name` was asked for; texts as typed, the passphrase hidden."""

    attester: str
    expiry: str
    passphrase: str = field(repr=False)
    is_public: bool
    namespace: str
    partition: str
    is_for_delegates: bool
    arguments: tuple[str, ...]


async def declare(session: Session, request: NameRequest) -> None:
    """Declare that a name stands for an entity.

    Raises:
        UsageFaultError: an argument is wrong, or flags exclude each other.
        WaveMQError: the entity is unknown, the name impossible, or storage failed.
    """
    if len(request.arguments) != 2:
        raise UsageFaultError(USAGE)
    if request.is_public and (request.namespace or request.partition):
        raise UsageFaultError("--public and --namespace or --partition exclude each other")
    if (request.partition or request.is_for_delegates) and not request.namespace:
        raise UsageFaultError("--partition and --for-delegates need --namespace")
    entity, name = request.arguments
    now = session.now()
    try:
        until = instant_after(now, request.expiry)
    except UsageFaultError as error:
        raise UsageFaultError(f"bad expiry: {error}") from error
    perspective = perspective_of(request.attester, "attesting", request.passphrase)
    subject = (await identify(session, entity, perspective)).to_bytes()
    params = pb.CreateNameDeclarationParams(
        perspective=perspective,
        name=name,
        subject=subject,
        subjectLocation=await session.locate(subject, perspective),
        validFrom=milliseconds_from_instant(now),
        validUntil=milliseconds_from_instant(max(now, until)),
    )
    if not request.is_public:
        await _make_private(session, request, perspective, params)
    created = await session.ask(calls.CREATE_NAME, params)
    subject_text = hash_text(subject)
    session.output.line(f"name {quote(name)} -> {quote(subject_text)} created successfully")
    session.output.result(
        {"kind": "name", "name": name, "subject": subject_text, "hash": hash_text(created.hash)}
    )


async def _make_private(
    session: Session,
    request: NameRequest,
    perspective: pb.Perspective,
    params: pb.CreateNameDeclarationParams,
) -> None:
    """Say who may read the name: readers under a namespace, or the attester alone."""
    if request.namespace:
        namespace = (await identify(session, request.namespace, perspective)).to_bytes()
        parts = [part.encode() for part in request.partition.split("/") if part]
        # Delegates' keys begin with this tag; without it only the namespace itself can read it.
        partition = [BODY_TAG, *parts] if request.is_for_delegates else parts
    else:
        inspected = await session.ask(
            calls.INSPECT, pb.InspectParams(content=perspective.entitySecret.DER)
        )
        namespace, partition = inspected.entity.hash, list(PRIVATE_PARTITION)
    params.namespace = namespace
    params.namespaceLocation.CopyFrom(await session.locate(namespace, perspective))
    params.partition.extend(partition)
