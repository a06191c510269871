"""Messages to a namespace's readers in bulk: what one by one gives, whatever keys are held."""

from __future__ import annotations

from wavemq.clock import Instant, instant_from_seconds
from wavemq.crypto.encapsulation import Openers
from wavemq.errors import (
    InvalidParameterError,
    MalformedObjectError,
    MessageDecryptError,
    WaveMQError,
)
from wavemq.wave.bundle import ContentKey, LabelKey
from wavemq.wave.encrypted import (
    ReaderKeys,
    decrypt_message,
    encrypt_message,
    message_partition,
)
from wavemq.wave.encrypted_bulk import (
    Held,
    Opening,
    Sealing,
    decrypt_messages,
    encrypt_messages,
)
from wavemq.wave.keyring import EntitySecret
from wavemq.wave.location import Location

NOW = instant_from_seconds(1_795_000_000)
LATER = Instant(NOW + 86_400 * 10**9)
PLACE = Location("http://127.0.0.1:8080/v1")
NAMESPACE, READER = (
    EntitySecret.create(not_before=NOW, not_after=LATER, revocation_location=None) for _ in range(2)
)
PARTITION = message_partition("a/b", NOW, NOW)
LABEL = LabelKey.extract(
    NAMESPACE.entity.ibe_params_bytes,
    NAMESPACE.ibe_master,
    NAMESPACE.entity.hash.to_text().encode(),
)
OPEN_PATTERN = (PARTITION[0], *(b"",) * 19)
CONTENT_KEY = ContentKey(
    OPEN_PATTERN,
    NAMESPACE.oaque_master.derive(NAMESPACE.entity.oaque_params, OPEN_PATTERN).to_bytes(),
)
HELD = ReaderKeys(NAMESPACE.entity, (LABEL,), lambda _: (CONTENT_KEY,))


def nothing_held(_: object) -> None:
    return None


def sealed(*contents: bytes) -> list[bytes]:
    made = encrypt_messages(
        [Sealing(content, NAMESPACE.entity, PLACE, PARTITION) for content in contents]
    )
    return [one for one in made if isinstance(one, bytes)]


def opened(
    messages: list[bytes], reader: EntitySecret, held: Held
) -> list[bytes | WaveMQError | None]:
    return decrypt_messages([Opening(one, reader, held) for one in messages], Openers())


def test_messages_made_in_bulk_are_read_one_by_one() -> None:
    contents = [b"content %d" % number for number in range(40)]
    for content, message in zip(contents, sealed(*contents), strict=True):
        assert decrypt_message(message, NAMESPACE, nothing_held) == content
        assert decrypt_message(message, READER, lambda _: HELD) == content


def test_messages_made_one_by_one_and_in_bulk_are_read_in_bulk_in_order() -> None:
    contents = [b"content %d" % number for number in range(40)]
    messages = sealed(*contents)
    messages[7] = encrypt_message(
        contents[7],
        namespace=NAMESPACE.entity,
        namespace_location=PLACE,
        resource="a/b",
        not_before=NOW,
        not_after=NOW,
    )
    assert opened(messages, READER, lambda _: HELD) == contents
    assert opened(messages, NAMESPACE, nothing_held) == contents


def test_equal_contents_share_no_byte_that_depends_on_a_key() -> None:
    first, second = sealed(b"same", b"same")
    assert len(first) == len(second)
    equal = sum(one == other for one, other in zip(first, second, strict=True))
    # The frame, the namespace and its location are the same; the rest is equal by chance.
    assert equal < len(first) // 5


def test_a_message_for_a_sound_namespace_is_made_beside_one_for_an_unsound() -> None:
    class Unsound:
        hash = NAMESPACE.entity.hash

        @property
        def oaque_params(self) -> object:
            raise MalformedObjectError("unsound")

    bad = Sealing(b"x", Unsound(), PLACE, PARTITION)  # type: ignore[arg-type]  # as far as looked at
    good = Sealing(b"content", NAMESPACE.entity, PLACE, PARTITION)
    first, second, third = encrypt_messages([good, bad, good])
    assert isinstance(second, MalformedObjectError)
    for one in (first, third):
        assert isinstance(one, bytes)
        assert decrypt_message(one, NAMESPACE, nothing_held) == b"content"


def test_what_the_first_keys_do_not_open_is_left_to_the_long_way() -> None:
    (message,) = sealed(b"content")
    stranger = EntitySecret.create(not_before=NOW, not_after=LATER, revocation_location=None)
    wrong_label = LabelKey(LABEL.params, LABEL.identity_point, LABEL.identity, LABEL.identity_point)
    unsound_label = LabelKey(LABEL.params, LABEL.identity_point, LABEL.identity, bytes(48))
    foreign = stranger.oaque_master.derive(stranger.entity.oaque_params, OPEN_PATTERN).to_bytes()
    unsound = ContentKey(OPEN_PATTERN, bytes(len(foreign)))
    for labels, contents in (
        ((), (CONTENT_KEY,)),
        ((wrong_label, LABEL), (CONTENT_KEY,)),
        ((unsound_label, LABEL), (CONTENT_KEY,)),
        ((LABEL,), ()),
        ((LABEL,), (ContentKey(OPEN_PATTERN, foreign), CONTENT_KEY)),
        ((LABEL,), (unsound, CONTENT_KEY)),
    ):
        held = ReaderKeys(NAMESPACE.entity, labels, lambda _, keys=contents: keys)  # type: ignore[misc]  # bound now
        assert opened([message], READER, lambda _, held=held: held) == [None]  # type: ignore[misc]  # bound now
    assert opened([message], READER, nothing_held) == [None]
    to_one = encrypt_message(b"content", recipient=READER.entity)
    assert opened([to_one], READER, nothing_held) == [None]


def test_keys_for_another_pattern_are_passed_over() -> None:
    (message,) = sealed(b"content")
    other = ContentKey((b"other", *(b"",) * 19), CONTENT_KEY.secret)
    held = ReaderKeys(NAMESPACE.entity, (LABEL,), lambda _: (other, CONTENT_KEY))
    assert opened([message], READER, lambda _: held) == [b"content"]


def test_damage_never_gives_content_and_harms_no_other() -> None:
    sound, damaged = sealed(b"content", b"content")
    for place in range(0, len(damaged), 61):
        changed = bytearray(damaged)
        changed[place] ^= 4
        first, second, third = opened([sound, bytes(changed), sound], READER, lambda _: HELD)
        assert first == third == b"content"
        # The location and such are not under the seal.
        assert second is None or isinstance(second, WaveMQError) or second == b"content"
        assert _long_way(bytes(changed)) == (second if isinstance(second, bytes) else None)


def _long_way(message: bytes) -> bytes | None:
    try:
        return decrypt_message(message, READER, lambda _: HELD)
    except (MessageDecryptError, MalformedObjectError, InvalidParameterError):
        return None
