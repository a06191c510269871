from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConnectionStatusParams(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ConnectionStatusResponse(_message.Message):
    __slots__ = ("totalPeers", "connectedPeers")
    TOTALPEERS_FIELD_NUMBER: _ClassVar[int]
    CONNECTEDPEERS_FIELD_NUMBER: _ClassVar[int]
    totalPeers: int
    connectedPeers: int
    def __init__(self, totalPeers: _Optional[int] = ..., connectedPeers: _Optional[int] = ...) -> None: ...

class QueryParams(_message.Message):
    __slots__ = ("perspective", "namespace", "uri", "customProofDER")
    PERSPECTIVE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    CUSTOMPROOFDER_FIELD_NUMBER: _ClassVar[int]
    perspective: Perspective
    namespace: bytes
    uri: str
    customProofDER: bytes
    def __init__(self, perspective: _Optional[_Union[Perspective, _Mapping]] = ..., namespace: _Optional[bytes] = ..., uri: _Optional[str] = ..., customProofDER: _Optional[bytes] = ...) -> None: ...

class QueryMessage(_message.Message):
    __slots__ = ("error", "message")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    error: Error
    message: Message
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., message: _Optional[_Union[Message, _Mapping]] = ...) -> None: ...

class PeerQueryParams(_message.Message):
    __slots__ = ("sourceEntity", "namespace", "uri", "signature", "proofDER")
    SOURCEENTITY_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    PROOFDER_FIELD_NUMBER: _ClassVar[int]
    sourceEntity: bytes
    namespace: bytes
    uri: str
    signature: bytes
    proofDER: bytes
    def __init__(self, sourceEntity: _Optional[bytes] = ..., namespace: _Optional[bytes] = ..., uri: _Optional[str] = ..., signature: _Optional[bytes] = ..., proofDER: _Optional[bytes] = ...) -> None: ...

class PeerUnsubscribeParams(_message.Message):
    __slots__ = ("sourceEntity", "id")
    SOURCEENTITY_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    sourceEntity: bytes
    id: str
    def __init__(self, sourceEntity: _Optional[bytes] = ..., id: _Optional[str] = ...) -> None: ...

class PeerUnsubscribeResponse(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: Error
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class PeerPublishParams(_message.Message):
    __slots__ = ("msg",)
    MSG_FIELD_NUMBER: _ClassVar[int]
    msg: Message
    def __init__(self, msg: _Optional[_Union[Message, _Mapping]] = ...) -> None: ...

class PeerPublishResponse(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: Error
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class PeerPublishFrames(_message.Message):
    __slots__ = ("frames",)
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    frames: _containers.RepeatedCompositeFieldContainer[PeerPublishFrame]
    def __init__(self, frames: _Optional[_Iterable[_Union[PeerPublishFrame, _Mapping]]] = ...) -> None: ...

class PeerPublishFrame(_message.Message):
    __slots__ = ("sequence", "resumes", "message")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RESUMES_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    resumes: bool
    message: Message
    def __init__(self, sequence: _Optional[int] = ..., resumes: _Optional[bool] = ..., message: _Optional[_Union[Message, _Mapping]] = ...) -> None: ...

class PublishAnswers(_message.Message):
    __slots__ = ("accepted", "refused", "error")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    accepted: _containers.RepeatedScalarFieldContainer[int]
    refused: _containers.RepeatedCompositeFieldContainer[PublishRefusal]
    error: Error
    def __init__(self, accepted: _Optional[_Iterable[int]] = ..., refused: _Optional[_Iterable[_Union[PublishRefusal, _Mapping]]] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class PublishRefusal(_message.Message):
    __slots__ = ("sequence", "error")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    error: Error
    def __init__(self, sequence: _Optional[int] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class PeerSubscriptionTBS(_message.Message):
    __slots__ = ("sourceEntity", "namespace", "uri", "id", "routerID", "expiry")
    SOURCEENTITY_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    ROUTERID_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_FIELD_NUMBER: _ClassVar[int]
    sourceEntity: bytes
    namespace: bytes
    uri: str
    id: str
    routerID: str
    expiry: int
    def __init__(self, sourceEntity: _Optional[bytes] = ..., namespace: _Optional[bytes] = ..., uri: _Optional[str] = ..., id: _Optional[str] = ..., routerID: _Optional[str] = ..., expiry: _Optional[int] = ...) -> None: ...

class PeerSubscribeParams(_message.Message):
    __slots__ = ("tbs", "signature", "proofDER", "absoluteExpiry")
    TBS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    PROOFDER_FIELD_NUMBER: _ClassVar[int]
    ABSOLUTEEXPIRY_FIELD_NUMBER: _ClassVar[int]
    tbs: PeerSubscriptionTBS
    signature: bytes
    proofDER: bytes
    absoluteExpiry: int
    def __init__(self, tbs: _Optional[_Union[PeerSubscriptionTBS, _Mapping]] = ..., signature: _Optional[bytes] = ..., proofDER: _Optional[bytes] = ..., absoluteExpiry: _Optional[int] = ...) -> None: ...

class PublishParams(_message.Message):
    __slots__ = ("perspective", "namespace", "uri", "content", "encryptionPartition", "persist", "customProofDER", "encryptWithJEDI")
    PERSPECTIVE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTIONPARTITION_FIELD_NUMBER: _ClassVar[int]
    PERSIST_FIELD_NUMBER: _ClassVar[int]
    CUSTOMPROOFDER_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTWITHJEDI_FIELD_NUMBER: _ClassVar[int]
    perspective: Perspective
    namespace: bytes
    uri: str
    content: _containers.RepeatedCompositeFieldContainer[PayloadObject]
    encryptionPartition: _containers.RepeatedScalarFieldContainer[bytes]
    persist: bool
    customProofDER: bytes
    encryptWithJEDI: bool
    def __init__(self, perspective: _Optional[_Union[Perspective, _Mapping]] = ..., namespace: _Optional[bytes] = ..., uri: _Optional[str] = ..., content: _Optional[_Iterable[_Union[PayloadObject, _Mapping]]] = ..., encryptionPartition: _Optional[_Iterable[bytes]] = ..., persist: _Optional[bool] = ..., customProofDER: _Optional[bytes] = ..., encryptWithJEDI: _Optional[bool] = ...) -> None: ...

class PublishResponse(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: Error
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class PublishFrames(_message.Message):
    __slots__ = ("opening", "frames")
    OPENING_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    opening: PublishParams
    frames: _containers.RepeatedCompositeFieldContainer[PublishFrame]
    def __init__(self, opening: _Optional[_Union[PublishParams, _Mapping]] = ..., frames: _Optional[_Iterable[_Union[PublishFrame, _Mapping]]] = ...) -> None: ...

class PublishFrame(_message.Message):
    __slots__ = ("uri", "content", "encryptionPartition", "persist", "customProofDER", "encryptWithJEDI", "sequence")
    URI_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTIONPARTITION_FIELD_NUMBER: _ClassVar[int]
    PERSIST_FIELD_NUMBER: _ClassVar[int]
    CUSTOMPROOFDER_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTWITHJEDI_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    uri: str
    content: _containers.RepeatedCompositeFieldContainer[PayloadObject]
    encryptionPartition: _containers.RepeatedScalarFieldContainer[bytes]
    persist: bool
    customProofDER: bytes
    encryptWithJEDI: bool
    sequence: int
    def __init__(self, uri: _Optional[str] = ..., content: _Optional[_Iterable[_Union[PayloadObject, _Mapping]]] = ..., encryptionPartition: _Optional[_Iterable[bytes]] = ..., persist: _Optional[bool] = ..., customProofDER: _Optional[bytes] = ..., encryptWithJEDI: _Optional[bool] = ..., sequence: _Optional[int] = ...) -> None: ...

class MessageTBS(_message.Message):
    __slots__ = ("sourceEntity", "sourceLocation", "namespace", "uri", "payload", "originRouter", "jediData")
    SOURCEENTITY_FIELD_NUMBER: _ClassVar[int]
    SOURCELOCATION_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    ORIGINROUTER_FIELD_NUMBER: _ClassVar[int]
    JEDIDATA_FIELD_NUMBER: _ClassVar[int]
    sourceEntity: bytes
    sourceLocation: LocationURI
    namespace: bytes
    uri: str
    payload: _containers.RepeatedCompositeFieldContainer[PayloadObject]
    originRouter: str
    jediData: JEDIData
    def __init__(self, sourceEntity: _Optional[bytes] = ..., sourceLocation: _Optional[_Union[LocationURI, _Mapping]] = ..., namespace: _Optional[bytes] = ..., uri: _Optional[str] = ..., payload: _Optional[_Iterable[_Union[PayloadObject, _Mapping]]] = ..., originRouter: _Optional[str] = ..., jediData: _Optional[_Union[JEDIData, _Mapping]] = ...) -> None: ...

class Message(_message.Message):
    __slots__ = ("proof", "proofDER", "tbs", "signature", "encryptionPartition", "timestamps", "drops", "persist", "proofHash")
    PROOF_FIELD_NUMBER: _ClassVar[int]
    PROOFDER_FIELD_NUMBER: _ClassVar[int]
    TBS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTIONPARTITION_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMPS_FIELD_NUMBER: _ClassVar[int]
    DROPS_FIELD_NUMBER: _ClassVar[int]
    PERSIST_FIELD_NUMBER: _ClassVar[int]
    PROOFHASH_FIELD_NUMBER: _ClassVar[int]
    proof: Proof
    proofDER: bytes
    tbs: MessageTBS
    signature: bytes
    encryptionPartition: _containers.RepeatedScalarFieldContainer[bytes]
    timestamps: _containers.RepeatedScalarFieldContainer[int]
    drops: _containers.RepeatedScalarFieldContainer[int]
    persist: bool
    proofHash: bytes
    def __init__(self, proof: _Optional[_Union[Proof, _Mapping]] = ..., proofDER: _Optional[bytes] = ..., tbs: _Optional[_Union[MessageTBS, _Mapping]] = ..., signature: _Optional[bytes] = ..., encryptionPartition: _Optional[_Iterable[bytes]] = ..., timestamps: _Optional[_Iterable[int]] = ..., drops: _Optional[_Iterable[int]] = ..., persist: _Optional[bool] = ..., proofHash: _Optional[bytes] = ...) -> None: ...

class PayloadObject(_message.Message):
    __slots__ = ("schema", "content")
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    schema: str
    content: bytes
    def __init__(self, schema: _Optional[str] = ..., content: _Optional[bytes] = ...) -> None: ...

class JEDIData(_message.Message):
    __slots__ = ("timestamp",)
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    timestamp: int
    def __init__(self, timestamp: _Optional[int] = ...) -> None: ...

class Payload(_message.Message):
    __slots__ = ("objects",)
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    objects: _containers.RepeatedCompositeFieldContainer[PayloadObject]
    def __init__(self, objects: _Optional[_Iterable[_Union[PayloadObject, _Mapping]]] = ...) -> None: ...

class SubscribeParams(_message.Message):
    __slots__ = ("perspective", "namespace", "uri", "customProofDER", "identifier", "expiry", "absoluteExpiry")
    PERSPECTIVE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    CUSTOMPROOFDER_FIELD_NUMBER: _ClassVar[int]
    IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_FIELD_NUMBER: _ClassVar[int]
    ABSOLUTEEXPIRY_FIELD_NUMBER: _ClassVar[int]
    perspective: Perspective
    namespace: bytes
    uri: str
    customProofDER: bytes
    identifier: str
    expiry: int
    absoluteExpiry: int
    def __init__(self, perspective: _Optional[_Union[Perspective, _Mapping]] = ..., namespace: _Optional[bytes] = ..., uri: _Optional[str] = ..., customProofDER: _Optional[bytes] = ..., identifier: _Optional[str] = ..., expiry: _Optional[int] = ..., absoluteExpiry: _Optional[int] = ...) -> None: ...

class SubscriptionMessage(_message.Message):
    __slots__ = ("error", "message")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    error: Error
    message: Message
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., message: _Optional[_Union[Message, _Mapping]] = ...) -> None: ...

class ConsumeRequest(_message.Message):
    __slots__ = ("subscribe", "credit", "acknowledged", "returned", "returnDelay")
    SUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    RETURNDELAY_FIELD_NUMBER: _ClassVar[int]
    subscribe: SubscribeParams
    credit: int
    acknowledged: _containers.RepeatedScalarFieldContainer[int]
    returned: _containers.RepeatedScalarFieldContainer[int]
    returnDelay: int
    def __init__(self, subscribe: _Optional[_Union[SubscribeParams, _Mapping]] = ..., credit: _Optional[int] = ..., acknowledged: _Optional[_Iterable[int]] = ..., returned: _Optional[_Iterable[int]] = ..., returnDelay: _Optional[int] = ...) -> None: ...

class PeerConsumeRequest(_message.Message):
    __slots__ = ("subscribe", "credit", "acknowledged")
    SUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    subscribe: PeerSubscribeParams
    credit: int
    acknowledged: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, subscribe: _Optional[_Union[PeerSubscribeParams, _Mapping]] = ..., credit: _Optional[int] = ..., acknowledged: _Optional[_Iterable[int]] = ...) -> None: ...

class ConsumeResponse(_message.Message):
    __slots__ = ("error", "deliveries")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    error: Error
    deliveries: _containers.RepeatedCompositeFieldContainer[ConsumeDelivery]
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., deliveries: _Optional[_Iterable[_Union[ConsumeDelivery, _Mapping]]] = ...) -> None: ...

class ConsumeDelivery(_message.Message):
    __slots__ = ("index", "attempt", "message")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    index: int
    attempt: int
    message: Message
    def __init__(self, index: _Optional[int] = ..., attempt: _Optional[int] = ..., message: _Optional[_Union[Message, _Mapping]] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class Perspective(_message.Message):
    __slots__ = ("entitySecret", "location")
    ENTITYSECRET_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    entitySecret: EntitySecret
    location: Location
    def __init__(self, entitySecret: _Optional[_Union[EntitySecret, _Mapping]] = ..., location: _Optional[_Union[Location, _Mapping]] = ...) -> None: ...

class EntitySecret(_message.Message):
    __slots__ = ("DER", "passphrase")
    DER_FIELD_NUMBER: _ClassVar[int]
    PASSPHRASE_FIELD_NUMBER: _ClassVar[int]
    DER: bytes
    passphrase: bytes
    def __init__(self, DER: _Optional[bytes] = ..., passphrase: _Optional[bytes] = ...) -> None: ...

class Location(_message.Message):
    __slots__ = ("locationURI", "agentLocation")
    LOCATIONURI_FIELD_NUMBER: _ClassVar[int]
    AGENTLOCATION_FIELD_NUMBER: _ClassVar[int]
    locationURI: LocationURI
    agentLocation: str
    def __init__(self, locationURI: _Optional[_Union[LocationURI, _Mapping]] = ..., agentLocation: _Optional[str] = ...) -> None: ...

class LocationURI(_message.Message):
    __slots__ = ("URI", "version")
    URI_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    URI: str
    version: int
    def __init__(self, URI: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class Proof(_message.Message):
    __slots__ = ("elements", "paths", "policy", "expiry", "subject", "subjectLocation")
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    SUBJECTLOCATION_FIELD_NUMBER: _ClassVar[int]
    elements: _containers.RepeatedCompositeFieldContainer[Attestation]
    paths: _containers.RepeatedCompositeFieldContainer[ProofPath]
    policy: Policy
    expiry: int
    subject: bytes
    subjectLocation: Location
    def __init__(self, elements: _Optional[_Iterable[_Union[Attestation, _Mapping]]] = ..., paths: _Optional[_Iterable[_Union[ProofPath, _Mapping]]] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., expiry: _Optional[int] = ..., subject: _Optional[bytes] = ..., subjectLocation: _Optional[_Union[Location, _Mapping]] = ...) -> None: ...

class ProofPath(_message.Message):
    __slots__ = ("elements",)
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    elements: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, elements: _Optional[_Iterable[int]] = ...) -> None: ...

class Attestation(_message.Message):
    __slots__ = ("DER", "hash", "body", "verifierKey", "proverKey", "subjectHash", "subjectLocation", "validity", "partition")
    DER_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    VERIFIERKEY_FIELD_NUMBER: _ClassVar[int]
    PROVERKEY_FIELD_NUMBER: _ClassVar[int]
    SUBJECTHASH_FIELD_NUMBER: _ClassVar[int]
    SUBJECTLOCATION_FIELD_NUMBER: _ClassVar[int]
    VALIDITY_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    DER: bytes
    hash: bytes
    body: AttestationBody
    verifierKey: bytes
    proverKey: bytes
    subjectHash: bytes
    subjectLocation: Location
    validity: AttestationValidity
    partition: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, DER: _Optional[bytes] = ..., hash: _Optional[bytes] = ..., body: _Optional[_Union[AttestationBody, _Mapping]] = ..., verifierKey: _Optional[bytes] = ..., proverKey: _Optional[bytes] = ..., subjectHash: _Optional[bytes] = ..., subjectLocation: _Optional[_Union[Location, _Mapping]] = ..., validity: _Optional[_Union[AttestationValidity, _Mapping]] = ..., partition: _Optional[_Iterable[bytes]] = ...) -> None: ...

class AttestationBody(_message.Message):
    __slots__ = ("DecodedBodyDER", "attesterHash", "attesterLocation", "policy", "validFrom", "validUntil")
    DECODEDBODYDER_FIELD_NUMBER: _ClassVar[int]
    ATTESTERHASH_FIELD_NUMBER: _ClassVar[int]
    ATTESTERLOCATION_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    VALIDFROM_FIELD_NUMBER: _ClassVar[int]
    VALIDUNTIL_FIELD_NUMBER: _ClassVar[int]
    DecodedBodyDER: bytes
    attesterHash: bytes
    attesterLocation: Location
    policy: Policy
    validFrom: int
    validUntil: int
    def __init__(self, DecodedBodyDER: _Optional[bytes] = ..., attesterHash: _Optional[bytes] = ..., attesterLocation: _Optional[_Union[Location, _Mapping]] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., validFrom: _Optional[int] = ..., validUntil: _Optional[int] = ...) -> None: ...

class AttestationValidity(_message.Message):
    __slots__ = ("valid", "revoked", "expired", "malformed", "notDecrypted", "srcInvalid", "dstInvalid", "message", "notValidYet")
    VALID_FIELD_NUMBER: _ClassVar[int]
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    MALFORMED_FIELD_NUMBER: _ClassVar[int]
    NOTDECRYPTED_FIELD_NUMBER: _ClassVar[int]
    SRCINVALID_FIELD_NUMBER: _ClassVar[int]
    DSTINVALID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    NOTVALIDYET_FIELD_NUMBER: _ClassVar[int]
    valid: bool
    revoked: bool
    expired: bool
    malformed: bool
    notDecrypted: bool
    srcInvalid: bool
    dstInvalid: bool
    message: str
    notValidYet: bool
    def __init__(self, valid: _Optional[bool] = ..., revoked: _Optional[bool] = ..., expired: _Optional[bool] = ..., malformed: _Optional[bool] = ..., notDecrypted: _Optional[bool] = ..., srcInvalid: _Optional[bool] = ..., dstInvalid: _Optional[bool] = ..., message: _Optional[str] = ..., notValidYet: _Optional[bool] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("trustLevelPolicy", "rTreePolicy")
    TRUSTLEVELPOLICY_FIELD_NUMBER: _ClassVar[int]
    RTREEPOLICY_FIELD_NUMBER: _ClassVar[int]
    trustLevelPolicy: TrustLevelPolicy
    rTreePolicy: RTreePolicy
    def __init__(self, trustLevelPolicy: _Optional[_Union[TrustLevelPolicy, _Mapping]] = ..., rTreePolicy: _Optional[_Union[RTreePolicy, _Mapping]] = ...) -> None: ...

class TrustLevelPolicy(_message.Message):
    __slots__ = ("trust",)
    TRUST_FIELD_NUMBER: _ClassVar[int]
    trust: int
    def __init__(self, trust: _Optional[int] = ...) -> None: ...

class RTreePolicy(_message.Message):
    __slots__ = ("namespace", "indirections", "statements", "visibilityURI")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    INDIRECTIONS_FIELD_NUMBER: _ClassVar[int]
    STATEMENTS_FIELD_NUMBER: _ClassVar[int]
    VISIBILITYURI_FIELD_NUMBER: _ClassVar[int]
    namespace: bytes
    indirections: int
    statements: _containers.RepeatedCompositeFieldContainer[RTreePolicyStatement]
    visibilityURI: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, namespace: _Optional[bytes] = ..., indirections: _Optional[int] = ..., statements: _Optional[_Iterable[_Union[RTreePolicyStatement, _Mapping]]] = ..., visibilityURI: _Optional[_Iterable[bytes]] = ...) -> None: ...

class RTreePolicyStatement(_message.Message):
    __slots__ = ("permissionSet", "permissions", "resource")
    PERMISSIONSET_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    permissionSet: bytes
    permissions: _containers.RepeatedScalarFieldContainer[str]
    resource: str
    def __init__(self, permissionSet: _Optional[bytes] = ..., permissions: _Optional[_Iterable[str]] = ..., resource: _Optional[str] = ...) -> None: ...
