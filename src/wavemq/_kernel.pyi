"""Types of the Rust extension. It raises `EncodingError` for bytes that are not a sound object."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeAlias

from wavemq.clock import Instant

class EncodingError(ValueError):
    """Bytes have the wrong length, are not canonical, or are no point of the group."""

class Alarm:
    """Rings after a while, to the microsecond; only where the system is Linux."""

    def fileno(self) -> int:
        """Readable when it rings."""

    def set(self, seconds: float) -> None:
        """Ring once, after so many seconds, and not for what was set before."""

    def take(self) -> bool:
        """Take note of a ring; return whether there was one."""

LogFrame: TypeAlias = tuple[
    tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]], bytes, list[bytes]
]
"""A frame of a log: where it goes, numbers that mean nothing here, and blobs, each with a checksum.

Where it goes: descriptors of the log and of the mark beside it; where the frame begins, and the end
of the file; salt, sequence, and the next numbers of queues and records."""

class LogWriter:
    """Writes frames to the log of a journal, one at a time."""

    def __new__(cls) -> Self: ...
    def fileno(self) -> int:
        """Readable when what was begun has ended."""

    def append(self, frame: LogFrame) -> int:
        """Append a frame, durably; return the bytes that it took, or 0 if there is no room."""

    def begin(self, frame: LogFrame) -> int:
        """Begin to append a frame, which goes on beside the interpreter; else as `append`."""

    def end(self) -> None:
        """Wait for the end of what was begun, once; raise what it failed with."""

    def take(self) -> None:
        """Take note that the descriptor was readable."""

class WkdParams:
    """Public parameters of one WKD-IBE system, decoded and checked."""

    @staticmethod
    def from_bytes(data: bytes, *, compressed: bool = True) -> WkdParams: ...
    @staticmethod
    def setup(slots: int) -> tuple[WkdParams, WkdMasterKey]: ...
    def to_bytes(self, *, compressed: bool = True) -> bytes: ...
    @property
    def slots(self) -> int: ...
    def encapsulate(self, pattern: Sequence[bytes], length: int) -> tuple[bytes, bytes]: ...
    def encrypt_with_scalars(
        self, fixed: Sequence[tuple[int, bytes]], k: bytes, s: bytes
    ) -> tuple[bytes, bytes]: ...
    def verifies(
        self, fixed: Sequence[tuple[int, bytes]], message: bytes, signature: bytes
    ) -> bool: ...

class WkdMasterKey:
    """The master key of one WKD-IBE system."""

    @staticmethod
    def from_bytes(data: bytes, *, compressed: bool = True) -> WkdMasterKey: ...
    def to_bytes(self, *, compressed: bool = True) -> bytes: ...
    def derive(self, params: WkdParams, pattern: Sequence[bytes]) -> WkdSecretKey: ...
    def derive_many(
        self, params: WkdParams, patterns: Sequence[Sequence[bytes]]
    ) -> list[bytes]: ...
    def decapsulate(self, ciphertext: bytes, length: int) -> bytes: ...
    def derive_with_scalar(
        self, params: WkdParams, fixed: Sequence[tuple[int, bytes]], rho: bytes | None = None
    ) -> WkdSecretKey: ...

class WkdSecretKey:
    """A WKD-IBE secret key, decoded and checked."""

    @staticmethod
    def from_bytes(data: bytes, *, compressed: bool = True) -> WkdSecretKey: ...
    def to_bytes(self, *, compressed: bool = True) -> bytes: ...
    @property
    def free_slots(self) -> list[int]: ...
    def qualify(self, params: WkdParams, pattern: Sequence[bytes]) -> WkdSecretKey: ...
    def qualify_many(
        self, params: WkdParams, patterns: Sequence[Sequence[bytes]]
    ) -> list[bytes]: ...
    def decapsulate(
        self, slots: int, pattern: Sequence[bytes], ciphertext: bytes, length: int
    ) -> bytes: ...
    def qualify_with_scalar(
        self, params: WkdParams, fixed: Sequence[tuple[int, bytes]], t: bytes | None = None
    ) -> WkdSecretKey: ...
    def sign_with_scalar(
        self, params: WkdParams, fixed: Sequence[tuple[int, bytes]], message: bytes, s: bytes
    ) -> bytes: ...

class WkdTarget:
    """Holders of keys that match one pattern of one WKD-IBE system, as one encrypts to them."""

    def __new__(cls, params: WkdParams, pattern: Sequence[bytes]) -> Self: ...

class LqTarget:
    """One identity of one LQ-IBE system, as one encrypts to it."""

    def __new__(cls, params: bytes, identity: bytes) -> Self: ...

class WkdOpener:
    """A WKD-IBE key as it opens ciphertexts for one pattern."""

    @staticmethod
    def of_secret(key: WkdSecretKey, slots: int, pattern: Sequence[bytes]) -> WkdOpener: ...
    @staticmethod
    def of_master(key: WkdMasterKey) -> WkdOpener: ...

class LqOpener:
    """The key of one identity of an LQ-IBE system as it opens ciphertexts."""

    def __new__(cls, secret: bytes, identity_point: bytes) -> Self: ...

def encapsulate_many(
    targets: Sequence[WkdTarget | LqTarget], length: int
) -> list[tuple[bytes, bytes]]: ...
def decapsulate_many(
    ciphertexts: Sequence[tuple[WkdOpener | LqOpener, bytes]], length: int
) -> list[bytes | None]: ...
def keccak256(data: bytes) -> bytes: ...
def keccak256_many(contents: Sequence[bytes]) -> list[bytes]: ...
def ed25519_verify(public: bytes, signature: bytes, content: bytes) -> bool: ...
def ed25519_verify_many(signed: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]: ...
def panic_for_test() -> None: ...
def cityhash128(data: bytes) -> tuple[int, int]: ...
def page_sums(path: Path, page_bytes: int) -> bytes: ...
def flipped_bit(size_bytes: int, change: int) -> int | None: ...
def wal_chain(
    data: bytes | memoryview, is_big_endian: bool, sums: tuple[int, int]
) -> tuple[int, int]: ...
def parse_integers(text: str, width: int) -> bytes: ...
def hash_to_zp(data: bytes) -> bytes: ...
def map_to_g1(digest: bytes) -> bytes: ...
def map_to_g2(digest: bytes) -> bytes: ...
def lq_identity_point(identity: bytes) -> bytes: ...
def lq_setup() -> tuple[bytes, bytes]: ...
def lq_check_params(data: bytes) -> None: ...
def lq_extract(master: bytes, identity: bytes) -> bytes: ...
def lq_encapsulate(params: bytes, identity: bytes, length: int) -> tuple[bytes, bytes]: ...
def lq_encapsulate_with_scalar(
    params: bytes, identity: bytes, rho: bytes, length: int
) -> tuple[bytes, bytes]: ...
def lq_decapsulate(
    secret: bytes, identity_point: bytes, ciphertext: bytes, length: int
) -> bytes: ...
def recode_point(group: int, data: bytes, from_compressed: bool, to_compressed: bool) -> bytes: ...
def multiply_generator(group: int, scalar: bytes) -> bytes: ...
def pair(p: bytes, q: bytes) -> bytes: ...
def recode_gt(data: bytes) -> bytes: ...

class ServerTls:
    """TLS of a server: its certificate and key, both DER, the key as PKCS #8."""

    def __new__(cls, certificate: bytes, key: bytes) -> Self: ...

class Http2:
    """gRPC over HTTP/2 on a thread of its own; takes orders, tells events.

    Numbers of methods are the caller's; those of services, listeners, connections and calls are
    given here, and none is used twice. Orders for what has ended do nothing. Descriptors are given
    away with the call. Orders go over together, when `call_soon` has called what sends them.
    """

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None: ...

    MESSAGE_BYTES: int
    """What each message counts in `consumed` beside its own bytes."""

    def fileno(self) -> int:
        """Readable when there are events."""

    def take(self) -> list[tuple[Any, ...]]:
        """Return all events: their kinds, then their parts, as `wavemq.net.reactor` reads them."""

    def flush(self) -> None:
        """Send the orders that were gathered."""

    def stop(self) -> None: ...
    def panic_for_test(self, in_loop: bool) -> None: ...
    def serve(
        self,
        methods: Sequence[tuple[int, str, bool, bool]],
        message_bytes_max: int,
        streams_max: int,
        is_compressing: bool,
        begin_s: float,
        idle_s: float,
    ) -> int:
        """Define a service: number, path, has many requests, is announced, of each method."""

    def listen(self, descriptor: int, service: int, connections_max: int) -> int: ...
    def stop_listening(self, listener: int) -> None: ...
    def accept(
        self, descriptor: int, service: int, tls: ServerTls, secured_s: float, stall_s: float
    ) -> int: ...
    def dial(
        self, descriptor: int, host: str, secured_s: float, begin_s: float, stall_s: float
    ) -> int: ...
    def read_preamble(self, connection: int) -> None: ...
    def send_preamble(self, connection: int, content: bytes) -> None: ...
    def begin(self, connection: int, surplus: bytes) -> None: ...
    def leave_all(self, service: int) -> None: ...
    def end_service(self, service: int, linger_s: float) -> None: ...
    def kill(self, connection: int) -> None: ...
    def call(
        self,
        connection: int,
        authority: str,
        path: str,
        metadata: Sequence[tuple[str, str]],
        timeout_s: float | None,
        message_bytes_max: int,
    ) -> int: ...
    def headers(self, call: int, metadata: Sequence[tuple[str, str]]) -> None: ...
    def write(self, call: int, messages: Sequence[bytes]) -> None: ...
    def finish(self, call: int, code: int, text: str) -> None: ...
    def half_close(self, call: int) -> None: ...
    def cancel(self, call: int) -> None: ...
    def answer(self, call: int, content: bytes) -> None:
        """Answer a call that has one answer."""

    def consumed(self, call: int, size_bytes: int) -> None: ...

class MessageSigner:
    """Who signs messages: keys, and the fields that all of their messages begin with."""

    def __new__(
        cls,
        seed: bytes,
        source: bytes,
        location: tuple[str, int],
        origin_router: str,
        prefix: bytes,
    ) -> Self:
        """Take a seed of 32 bytes, and what each message and signature begins with.

        That is the entity's hash, its location (URL, version), the router's id, and the beginning
        of a signature in DER.
        """

class PublishCutter:
    """Cuts publish requests; knows the last perspective of each connection by sight."""

    def cut(
        self, requests: Sequence[tuple[int, bytes]]
    ) -> list[tuple[bytes, bytes, str, tuple[tuple[str, bytes], ...], int, bool] | None]:
        """Cut requests (connection, bytes).

        Returns:
            SHA-256 of the perspective, namespace, topic, contents, their size in bytes, and whether
            to persist; None where there is more in a request.
        """

    def cut_opening(self, opening: bytes) -> tuple[bytes, bytes] | None:
        """Return SHA-256 of the perspective and the namespace; None where there is more or less."""

_Frame: TypeAlias = tuple[
    int, int, int, tuple[str, tuple[tuple[str, bytes], ...], int, bool] | None
]

def cut_frames(request: bytes) -> tuple[bytes | None, list[_Frame]] | None:
    """Cut a request of a stream into its opening, if it has one, and its frames.

    Returns:
        Of each frame its sequence, begin and end in the request, and its parts, if it is plain:
        topic, contents, their size in bytes, whether to persist. None: it is no such request.
    """

def form_messages(
    drafts: Sequence[tuple[MessageSigner, bytes, str, Sequence[tuple[str, bytes]]]],
) -> list[tuple[bytes, bytes]]:
    """Sign messages (signer, namespace, topic, contents).

    Returns:
        Signatures in DER, and the fields of each message from `tbs` to `encryptionPartition`.
    """

_Parts: TypeAlias = tuple[bytes, Sequence[int], Sequence[int], bool, bytes, bytes]

def encode_message(message: _Parts) -> bytes:
    """Compose a message: head, timestamps, drops, whether persisted, proof, its reference."""

def encode_behind(messages: Sequence[tuple[bytes, _Parts]]) -> list[bytes]: ...
def encode_wrapped(number: int, messages: Sequence[_Parts]) -> list[bytes]: ...
def encode_deliveries(deliveries: Sequence[tuple[int, int, _Parts]]) -> bytes: ...
def encode_frame(sequence: int, resumes: bool, message: _Parts) -> bytes:
    """Compose a frame as it stands in a `PeerPublishFrames`."""

_Received: TypeAlias = tuple[
    bytes,
    tuple[tuple[str, bytes], ...],
    str,
    int | None,
    tuple[bytes, ...],
    bytes,
    tuple[Instant, ...],
    tuple[int, ...],
    bool,
    bytes,
    bytes,
    bytes,
]

class MessageCutter:
    """Cuts messages of peers that keep to some limits.

    Of a plain message it returns the signed fields before the payload, contents, origin router,
    JEDI timestamp, partition, signature, timestamps, drops, whether persisted, proof, reference of
    a proof, and the fields from `tbs` to `encryptionPartition`; of any other, None.
    """

    def __new__(
        cls,
        *,
        message_bytes_max: int,
        payload_objects_max: int,
        proof_bytes_max: int,
        signature_bytes_max: int,
        router_bytes_max: int,
        hops_max: int,
        partition_elements_max: int,
        partition_bytes_max: int,
    ) -> Self: ...
    def cut_frames(self, request: bytes) -> list[tuple[int, bool, int, _Received | None]] | None:
        """Cut a `PeerPublishFrames`: sequence, whether it resumes, size in bytes, message."""

    def cut_deliveries(self, response: bytes) -> list[tuple[int, _Received | None]] | None:
        """Cut a `ConsumeResponse` without an error: index, message."""

class MessageVerifier:
    """Checks messages by the signatures in their heads; knows the keys that it sees often.

    Args:
        prefix: what stands before the 64 bytes of a signature in DER.
    """

    def __new__(cls, prefix: bytes) -> Self: ...
    def verify(self, signed: Sequence[tuple[bytes, bytes]]) -> list[bool | None]:
        """Check messages (public key, fields from `tbs` on), each by itself, on all cores.

        Returns:
            Whether the key signed it; None where the fields or the signature are of another form.
        """
