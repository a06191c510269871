"""Every limit that bytes from outside must keep, named once.

Owns the numbers; the doors that enforce them are listed in ARCHITECTURE.md. Raising one is a
decision about memory on a gateway with 512 MB: say so in the commit.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

MESSAGE_BYTES_MAX: Final = 4 * MIB
"""A message without its proof (wavemq.md 11a: clients receive at most 4 MiB)."""
PROOF_BYTES_MAX: Final = 10 * MIB
"""An explicit proof, everywhere (wavemq.md 3)."""
FRAME_BYTES_MAX: Final = MESSAGE_BYTES_MAX + PROOF_BYTES_MAX + MIB
"""One gRPC message at the local and the peering door: message, proof and envelope."""
TOPIC_BYTES_MAX: Final = 1024
TOPIC_LEVELS_MAX: Final = 64
PAYLOAD_OBJECTS_MAX: Final = 64
IDENTIFIER_BYTES_MAX: Final = 1024
"""A subscription identifier that a client chose."""
ENTITY_BYTES_MAX: Final = 64 * KIB
OBJECT_BYTES_MAX: Final = 16 * MIB
"""Any WAVE object in storage (an attestation with a bundle is about 100 KiB)."""
QUEUE_ENTRIES_MAX: Final = 1_000_000
"""Entries read from one storage queue before its server is called hostile."""
KEYRING_ITERATIONS_MAX: Final = 10_000_000
"""PBKDF2 iterations that a keyring file may ask for (wave.md 3.3)."""
DER_DEPTH_MAX: Final = 32
CLOCK_SKEW_TOLERATED_S: Final = 60
"""How far in the future a validity may begin and count as begun: clocks of honest hosts differ.
The end of a validity gets no such grace."""
HANDSHAKE_SECONDS_MAX: Final = 30.0
"""The whole peering handshake, from accept to the first HTTP/2 byte. A proof of 60 kB, more on some
days of the calendar, takes 10 s of a link of 50 kbit/s."""
HANDSHAKE_SILENCE_SECONDS_MAX: Final = 10.0
"""How long either end waits for TLS and the name of a namespace, or for more of a claim."""
SIGNATURE_BYTES_MAX: Final = 1024
"""The handshake's signature field (a DER Signature is 80 bytes)."""
