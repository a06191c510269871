from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

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

class Error(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class Entity(_message.Message):
    __slots__ = ("hash", "validFrom", "validUntil", "validity")
    HASH_FIELD_NUMBER: _ClassVar[int]
    VALIDFROM_FIELD_NUMBER: _ClassVar[int]
    VALIDUNTIL_FIELD_NUMBER: _ClassVar[int]
    VALIDITY_FIELD_NUMBER: _ClassVar[int]
    hash: bytes
    validFrom: int
    validUntil: int
    validity: EntityValidity
    def __init__(self, hash: _Optional[bytes] = ..., validFrom: _Optional[int] = ..., validUntil: _Optional[int] = ..., validity: _Optional[_Union[EntityValidity, _Mapping]] = ...) -> None: ...

class EntityValidity(_message.Message):
    __slots__ = ("valid", "revoked", "expired", "malformed", "message", "notValidYet")
    VALID_FIELD_NUMBER: _ClassVar[int]
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    MALFORMED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    NOTVALIDYET_FIELD_NUMBER: _ClassVar[int]
    valid: bool
    revoked: bool
    expired: bool
    malformed: bool
    message: str
    notValidYet: bool
    def __init__(self, valid: _Optional[bool] = ..., revoked: _Optional[bool] = ..., expired: _Optional[bool] = ..., malformed: _Optional[bool] = ..., message: _Optional[str] = ..., notValidYet: _Optional[bool] = ...) -> None: ...

class NameDeclarationValidity(_message.Message):
    __slots__ = ("valid", "revoked", "expired", "malformed", "message", "notValidYet")
    VALID_FIELD_NUMBER: _ClassVar[int]
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    MALFORMED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    NOTVALIDYET_FIELD_NUMBER: _ClassVar[int]
    valid: bool
    revoked: bool
    expired: bool
    malformed: bool
    message: str
    notValidYet: bool
    def __init__(self, valid: _Optional[bool] = ..., revoked: _Optional[bool] = ..., expired: _Optional[bool] = ..., malformed: _Optional[bool] = ..., message: _Optional[str] = ..., notValidYet: _Optional[bool] = ...) -> None: ...

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

class NameDeclaration(_message.Message):
    __slots__ = ("hash", "name", "subject", "subjectLocation", "attester", "attesterLocation", "validFrom", "validUntil", "namespace", "namespaceLocation", "partition", "validity")
    HASH_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    SUBJECTLOCATION_FIELD_NUMBER: _ClassVar[int]
    ATTESTER_FIELD_NUMBER: _ClassVar[int]
    ATTESTERLOCATION_FIELD_NUMBER: _ClassVar[int]
    VALIDFROM_FIELD_NUMBER: _ClassVar[int]
    VALIDUNTIL_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACELOCATION_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    VALIDITY_FIELD_NUMBER: _ClassVar[int]
    hash: bytes
    name: str
    subject: bytes
    subjectLocation: Location
    attester: bytes
    attesterLocation: Location
    validFrom: int
    validUntil: int
    namespace: bytes
    namespaceLocation: Location
    partition: _containers.RepeatedScalarFieldContainer[bytes]
    validity: NameDeclarationValidity
    def __init__(self, hash: _Optional[bytes] = ..., name: _Optional[str] = ..., subject: _Optional[bytes] = ..., subjectLocation: _Optional[_Union[Location, _Mapping]] = ..., attester: _Optional[bytes] = ..., attesterLocation: _Optional[_Union[Location, _Mapping]] = ..., validFrom: _Optional[int] = ..., validUntil: _Optional[int] = ..., namespace: _Optional[bytes] = ..., namespaceLocation: _Optional[_Union[Location, _Mapping]] = ..., partition: _Optional[_Iterable[bytes]] = ..., validity: _Optional[_Union[NameDeclarationValidity, _Mapping]] = ...) -> None: ...

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

class StorageDriverStatus(_message.Message):
    __slots__ = ("operational", "info")
    class InfoEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    OPERATIONAL_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    operational: bool
    info: _containers.ScalarMap[str, str]
    def __init__(self, operational: _Optional[bool] = ..., info: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CreateEntityParams(_message.Message):
    __slots__ = ("validFrom", "validUntil", "revocationLocation", "SecretPassphrase")
    VALIDFROM_FIELD_NUMBER: _ClassVar[int]
    VALIDUNTIL_FIELD_NUMBER: _ClassVar[int]
    REVOCATIONLOCATION_FIELD_NUMBER: _ClassVar[int]
    SECRETPASSPHRASE_FIELD_NUMBER: _ClassVar[int]
    validFrom: int
    validUntil: int
    revocationLocation: Location
    SecretPassphrase: str
    def __init__(self, validFrom: _Optional[int] = ..., validUntil: _Optional[int] = ..., revocationLocation: _Optional[_Union[Location, _Mapping]] = ..., SecretPassphrase: _Optional[str] = ...) -> None: ...

class CreateEntityResponse(_message.Message):
    __slots__ = ("error", "PublicDER", "SecretDER", "hash")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PUBLICDER_FIELD_NUMBER: _ClassVar[int]
    SECRETDER_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    error: Error
    PublicDER: bytes
    SecretDER: bytes
    hash: bytes
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., PublicDER: _Optional[bytes] = ..., SecretDER: _Optional[bytes] = ..., hash: _Optional[bytes] = ...) -> None: ...

class CreateAttestationParams(_message.Message):
    __slots__ = ("perspective", "bodyScheme", "subjectHash", "subjectLocation", "validFrom", "validUntil", "policy", "publish")
    PERSPECTIVE_FIELD_NUMBER: _ClassVar[int]
    BODYSCHEME_FIELD_NUMBER: _ClassVar[int]
    SUBJECTHASH_FIELD_NUMBER: _ClassVar[int]
    SUBJECTLOCATION_FIELD_NUMBER: _ClassVar[int]
    VALIDFROM_FIELD_NUMBER: _ClassVar[int]
    VALIDUNTIL_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    perspective: Perspective
    bodyScheme: str
    subjectHash: bytes
    subjectLocation: Location
    validFrom: int
    validUntil: int
    policy: Policy
    publish: bool
    def __init__(self, perspective: _Optional[_Union[Perspective, _Mapping]] = ..., bodyScheme: _Optional[str] = ..., subjectHash: _Optional[bytes] = ..., subjectLocation: _Optional[_Union[Location, _Mapping]] = ..., validFrom: _Optional[int] = ..., validUntil: _Optional[int] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., publish: _Optional[bool] = ...) -> None: ...

class CreateAttestationResponse(_message.Message):
    __slots__ = ("error", "DER", "verifierKey", "proverKey", "hash")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DER_FIELD_NUMBER: _ClassVar[int]
    VERIFIERKEY_FIELD_NUMBER: _ClassVar[int]
    PROVERKEY_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    error: Error
    DER: bytes
    verifierKey: bytes
    proverKey: bytes
    hash: bytes
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., DER: _Optional[bytes] = ..., verifierKey: _Optional[bytes] = ..., proverKey: _Optional[bytes] = ..., hash: _Optional[bytes] = ...) -> None: ...

class PublishEntityParams(_message.Message):
    __slots__ = ("DER", "location")
    DER_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    DER: bytes
    location: Location
    def __init__(self, DER: _Optional[bytes] = ..., location: _Optional[_Union[Location, _Mapping]] = ...) -> None: ...

class PublishEntityResponse(_message.Message):
    __slots__ = ("error", "hash")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    error: Error
    hash: bytes
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., hash: _Optional[bytes] = ...) -> None: ...

class PublishAttestationParams(_message.Message):
    __slots__ = ("DER",)
    DER_FIELD_NUMBER: _ClassVar[int]
    DER: bytes
    def __init__(self, DER: _Optional[bytes] = ...) -> None: ...

class PublishAttestationResponse(_message.Message):
    __slots__ = ("error", "hash")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    error: Error
    hash: bytes
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., hash: _Optional[bytes] = ...) -> None: ...

class AddAttestationParams(_message.Message):
    __slots__ = ("perspective", "DER", "proverKey")
    PERSPECTIVE_FIELD_NUMBER: _ClassVar[int]
    DER_FIELD_NUMBER: _ClassVar[int]
    PROVERKEY_FIELD_NUMBER: _ClassVar[int]
    perspective: Perspective
    DER: bytes
    proverKey: bytes
    def __init__(self, perspective: _Optional[_Union[Perspective, _Mapping]] = ..., DER: _Optional[bytes] = ..., proverKey: _Optional[bytes] = ...) -> None: ...

class AddAttestationResponse(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: Error
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class LookupAttestationsParams(_message.Message):
    __slots__ = ("perspective", "fromEntity", "toEntity")
    PERSPECTIVE_FIELD_NUMBER: _ClassVar[int]
    FROMENTITY_FIELD_NUMBER: _ClassVar[int]
    TOENTITY_FIELD_NUMBER: _ClassVar[int]
    perspective: Perspective
    fromEntity: bytes
    toEntity: bytes
    def __init__(self, perspective: _Optional[_Union[Perspective, _Mapping]] = ..., fromEntity: _Optional[bytes] = ..., toEntity: _Optional[bytes] = ...) -> None: ...

class LookupAttestationsResponse(_message.Message):
    __slots__ = ("error", "results")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    error: Error
    results: _containers.RepeatedCompositeFieldContainer[Attestation]
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., results: _Optional[_Iterable[_Union[Attestation, _Mapping]]] = ...) -> None: ...

class ResyncPerspectiveGraphParams(_message.Message):
    __slots__ = ("perspective",)
    PERSPECTIVE_FIELD_NUMBER: _ClassVar[int]
    perspective: Perspective
    def __init__(self, perspective: _Optional[_Union[Perspective, _Mapping]] = ...) -> None: ...

class ResyncPerspectiveGraphResponse(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: Error
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class SyncParams(_message.Message):
    __slots__ = ("perspective",)
    PERSPECTIVE_FIELD_NUMBER: _ClassVar[int]
    perspective: Perspective
    def __init__(self, perspective: _Optional[_Union[Perspective, _Mapping]] = ...) -> None: ...

class SyncResponse(_message.Message):
    __slots__ = ("error", "storageStatus", "totalSyncRequests", "completedSyncs")
    class StorageStatusEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: StorageDriverStatus
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[StorageDriverStatus, _Mapping]] = ...) -> None: ...
    ERROR_FIELD_NUMBER: _ClassVar[int]
    STORAGESTATUS_FIELD_NUMBER: _ClassVar[int]
    TOTALSYNCREQUESTS_FIELD_NUMBER: _ClassVar[int]
    COMPLETEDSYNCS_FIELD_NUMBER: _ClassVar[int]
    error: Error
    storageStatus: _containers.MessageMap[str, StorageDriverStatus]
    totalSyncRequests: int
    completedSyncs: int
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., storageStatus: _Optional[_Mapping[str, StorageDriverStatus]] = ..., totalSyncRequests: _Optional[int] = ..., completedSyncs: _Optional[int] = ...) -> None: ...

class BuildRTreeProofParams(_message.Message):
    __slots__ = ("perspective", "subjectHash", "namespace", "statements", "resyncFirst")
    PERSPECTIVE_FIELD_NUMBER: _ClassVar[int]
    SUBJECTHASH_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    STATEMENTS_FIELD_NUMBER: _ClassVar[int]
    RESYNCFIRST_FIELD_NUMBER: _ClassVar[int]
    perspective: Perspective
    subjectHash: bytes
    namespace: bytes
    statements: _containers.RepeatedCompositeFieldContainer[RTreePolicyStatement]
    resyncFirst: bool
    def __init__(self, perspective: _Optional[_Union[Perspective, _Mapping]] = ..., subjectHash: _Optional[bytes] = ..., namespace: _Optional[bytes] = ..., statements: _Optional[_Iterable[_Union[RTreePolicyStatement, _Mapping]]] = ..., resyncFirst: _Optional[bool] = ...) -> None: ...

class BuildRTreeProofResponse(_message.Message):
    __slots__ = ("error", "result", "proofDER")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    PROOFDER_FIELD_NUMBER: _ClassVar[int]
    error: Error
    result: Proof
    proofDER: bytes
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., result: _Optional[_Union[Proof, _Mapping]] = ..., proofDER: _Optional[bytes] = ...) -> None: ...

class VerifyProofParams(_message.Message):
    __slots__ = ("proofDER", "requiredRTreePolicy", "subject")
    PROOFDER_FIELD_NUMBER: _ClassVar[int]
    REQUIREDRTREEPOLICY_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    proofDER: bytes
    requiredRTreePolicy: RTreePolicy
    subject: bytes
    def __init__(self, proofDER: _Optional[bytes] = ..., requiredRTreePolicy: _Optional[_Union[RTreePolicy, _Mapping]] = ..., subject: _Optional[bytes] = ...) -> None: ...

class VerifyProofResponse(_message.Message):
    __slots__ = ("error", "result")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    error: Error
    result: Proof
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., result: _Optional[_Union[Proof, _Mapping]] = ...) -> None: ...

class CompactProofParams(_message.Message):
    __slots__ = ("DER",)
    DER_FIELD_NUMBER: _ClassVar[int]
    DER: bytes
    def __init__(self, DER: _Optional[bytes] = ...) -> None: ...

class CompactProofResponse(_message.Message):
    __slots__ = ("error", "proofDER")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PROOFDER_FIELD_NUMBER: _ClassVar[int]
    error: Error
    proofDER: bytes
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., proofDER: _Optional[bytes] = ...) -> None: ...

class ListLocationsParams(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListLocationsResponse(_message.Message):
    __slots__ = ("error", "agentLocations")
    class AgentLocationsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Location
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Location, _Mapping]] = ...) -> None: ...
    ERROR_FIELD_NUMBER: _ClassVar[int]
    AGENTLOCATIONS_FIELD_NUMBER: _ClassVar[int]
    error: Error
    agentLocations: _containers.MessageMap[str, Location]
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., agentLocations: _Optional[_Mapping[str, Location]] = ...) -> None: ...

class InspectParams(_message.Message):
    __slots__ = ("content", "proverKey", "verifierKey")
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    PROVERKEY_FIELD_NUMBER: _ClassVar[int]
    VERIFIERKEY_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    proverKey: bytes
    verifierKey: bytes
    def __init__(self, content: _Optional[bytes] = ..., proverKey: _Optional[bytes] = ..., verifierKey: _Optional[bytes] = ...) -> None: ...

class InspectResponse(_message.Message):
    __slots__ = ("error", "entity", "attestation")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    ATTESTATION_FIELD_NUMBER: _ClassVar[int]
    error: Error
    entity: Entity
    attestation: Attestation
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., entity: _Optional[_Union[Entity, _Mapping]] = ..., attestation: _Optional[_Union[Attestation, _Mapping]] = ...) -> None: ...

class ResolveHashParams(_message.Message):
    __slots__ = ("hash", "perspective")
    HASH_FIELD_NUMBER: _ClassVar[int]
    PERSPECTIVE_FIELD_NUMBER: _ClassVar[int]
    hash: bytes
    perspective: Perspective
    def __init__(self, hash: _Optional[bytes] = ..., perspective: _Optional[_Union[Perspective, _Mapping]] = ...) -> None: ...

class ResolveHashResponse(_message.Message):
    __slots__ = ("error", "location", "entity", "attestation")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    ATTESTATION_FIELD_NUMBER: _ClassVar[int]
    error: Error
    location: Location
    entity: Entity
    attestation: Attestation
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., location: _Optional[_Union[Location, _Mapping]] = ..., entity: _Optional[_Union[Entity, _Mapping]] = ..., attestation: _Optional[_Union[Attestation, _Mapping]] = ...) -> None: ...

class EncryptMessageParams(_message.Message):
    __slots__ = ("perspective", "content", "subjectHash", "subjectLocation", "namespace", "namespaceLocation", "resource", "validFrom", "validUntil")
    PERSPECTIVE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    SUBJECTHASH_FIELD_NUMBER: _ClassVar[int]
    SUBJECTLOCATION_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACELOCATION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    VALIDFROM_FIELD_NUMBER: _ClassVar[int]
    VALIDUNTIL_FIELD_NUMBER: _ClassVar[int]
    perspective: Perspective
    content: bytes
    subjectHash: bytes
    subjectLocation: Location
    namespace: bytes
    namespaceLocation: Location
    resource: str
    validFrom: int
    validUntil: int
    def __init__(self, perspective: _Optional[_Union[Perspective, _Mapping]] = ..., content: _Optional[bytes] = ..., subjectHash: _Optional[bytes] = ..., subjectLocation: _Optional[_Union[Location, _Mapping]] = ..., namespace: _Optional[bytes] = ..., namespaceLocation: _Optional[_Union[Location, _Mapping]] = ..., resource: _Optional[str] = ..., validFrom: _Optional[int] = ..., validUntil: _Optional[int] = ...) -> None: ...

class EncryptMessageResponse(_message.Message):
    __slots__ = ("error", "ciphertext")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CIPHERTEXT_FIELD_NUMBER: _ClassVar[int]
    error: Error
    ciphertext: bytes
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., ciphertext: _Optional[bytes] = ...) -> None: ...

class DecryptMessageParams(_message.Message):
    __slots__ = ("perspective", "ciphertext", "resyncFirst")
    PERSPECTIVE_FIELD_NUMBER: _ClassVar[int]
    CIPHERTEXT_FIELD_NUMBER: _ClassVar[int]
    RESYNCFIRST_FIELD_NUMBER: _ClassVar[int]
    perspective: Perspective
    ciphertext: bytes
    resyncFirst: bool
    def __init__(self, perspective: _Optional[_Union[Perspective, _Mapping]] = ..., ciphertext: _Optional[bytes] = ..., resyncFirst: _Optional[bool] = ...) -> None: ...

class DecryptMessageResponse(_message.Message):
    __slots__ = ("error", "content")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    error: Error
    content: bytes
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., content: _Optional[bytes] = ...) -> None: ...

class CreateNameDeclarationParams(_message.Message):
    __slots__ = ("perspective", "name", "subject", "subjectLocation", "validFrom", "validUntil", "namespace", "namespaceLocation", "partition")
    PERSPECTIVE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    SUBJECTLOCATION_FIELD_NUMBER: _ClassVar[int]
    VALIDFROM_FIELD_NUMBER: _ClassVar[int]
    VALIDUNTIL_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACELOCATION_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    perspective: Perspective
    name: str
    subject: bytes
    subjectLocation: Location
    validFrom: int
    validUntil: int
    namespace: bytes
    namespaceLocation: Location
    partition: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, perspective: _Optional[_Union[Perspective, _Mapping]] = ..., name: _Optional[str] = ..., subject: _Optional[bytes] = ..., subjectLocation: _Optional[_Union[Location, _Mapping]] = ..., validFrom: _Optional[int] = ..., validUntil: _Optional[int] = ..., namespace: _Optional[bytes] = ..., namespaceLocation: _Optional[_Union[Location, _Mapping]] = ..., partition: _Optional[_Iterable[bytes]] = ...) -> None: ...

class CreateNameDeclarationResponse(_message.Message):
    __slots__ = ("error", "DER", "hash")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DER_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    error: Error
    DER: bytes
    hash: bytes
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., DER: _Optional[bytes] = ..., hash: _Optional[bytes] = ...) -> None: ...

class ResolveNameParams(_message.Message):
    __slots__ = ("perspective", "name", "topLevelAttester")
    PERSPECTIVE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TOPLEVELATTESTER_FIELD_NUMBER: _ClassVar[int]
    perspective: Perspective
    name: str
    topLevelAttester: bytes
    def __init__(self, perspective: _Optional[_Union[Perspective, _Mapping]] = ..., name: _Optional[str] = ..., topLevelAttester: _Optional[bytes] = ...) -> None: ...

class ResolveNameResponse(_message.Message):
    __slots__ = ("error", "entity", "derivation", "location")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    DERIVATION_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    error: Error
    entity: Entity
    derivation: _containers.RepeatedCompositeFieldContainer[NameDeclaration]
    location: Location
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., entity: _Optional[_Union[Entity, _Mapping]] = ..., derivation: _Optional[_Iterable[_Union[NameDeclaration, _Mapping]]] = ..., location: _Optional[_Union[Location, _Mapping]] = ...) -> None: ...

class ResolveReverseNameParams(_message.Message):
    __slots__ = ("perspective", "hash")
    PERSPECTIVE_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    perspective: Perspective
    hash: bytes
    def __init__(self, perspective: _Optional[_Union[Perspective, _Mapping]] = ..., hash: _Optional[bytes] = ...) -> None: ...

class ResolveReverseNameResponse(_message.Message):
    __slots__ = ("error", "name")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    error: Error
    name: str
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., name: _Optional[str] = ...) -> None: ...

class MarkEntityInterestingParams(_message.Message):
    __slots__ = ("perspective", "entity", "entityLocation")
    PERSPECTIVE_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    ENTITYLOCATION_FIELD_NUMBER: _ClassVar[int]
    perspective: Perspective
    entity: bytes
    entityLocation: Location
    def __init__(self, perspective: _Optional[_Union[Perspective, _Mapping]] = ..., entity: _Optional[bytes] = ..., entityLocation: _Optional[_Union[Location, _Mapping]] = ...) -> None: ...

class MarkEntityInterestingResponse(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: Error
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class RevokeParams(_message.Message):
    __slots__ = ("perspective", "attestationHash", "nameDeclarationHash", "revokePerspective")
    PERSPECTIVE_FIELD_NUMBER: _ClassVar[int]
    ATTESTATIONHASH_FIELD_NUMBER: _ClassVar[int]
    NAMEDECLARATIONHASH_FIELD_NUMBER: _ClassVar[int]
    REVOKEPERSPECTIVE_FIELD_NUMBER: _ClassVar[int]
    perspective: Perspective
    attestationHash: bytes
    nameDeclarationHash: bytes
    revokePerspective: bool
    def __init__(self, perspective: _Optional[_Union[Perspective, _Mapping]] = ..., attestationHash: _Optional[bytes] = ..., nameDeclarationHash: _Optional[bytes] = ..., revokePerspective: _Optional[bool] = ...) -> None: ...

class RevokeResponse(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: Error
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class SignParams(_message.Message):
    __slots__ = ("perspective", "content")
    PERSPECTIVE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    perspective: Perspective
    content: bytes
    def __init__(self, perspective: _Optional[_Union[Perspective, _Mapping]] = ..., content: _Optional[bytes] = ...) -> None: ...

class SignResponse(_message.Message):
    __slots__ = ("error", "signature")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    error: Error
    signature: bytes
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., signature: _Optional[bytes] = ...) -> None: ...

class VerifySignatureParams(_message.Message):
    __slots__ = ("signer", "signerLocation", "signature", "content")
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    SIGNERLOCATION_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    signer: bytes
    signerLocation: Location
    signature: bytes
    content: bytes
    def __init__(self, signer: _Optional[bytes] = ..., signerLocation: _Optional[_Union[Location, _Mapping]] = ..., signature: _Optional[bytes] = ..., content: _Optional[bytes] = ...) -> None: ...

class VerifySignatureResponse(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: Error
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...
