"""Parameters that make a system worthless are chosen and signed by its owner alone."""

from __future__ import annotations

from wavemq.crypto import lqibe

_INFINITY_G1 = b"\xc0" + bytes(47)
_INFINITY_G2 = b"\xc0" + bytes(95)


def test_message_under_parameters_at_infinity_is_open_to_all() -> None:
    params = lqibe.Params(2 * _INFINITY_G2)
    params.check()  # as the original does: the points are canonical and in the subgroup
    message = lqibe.encrypt(params, b"identity", b"content")
    anybody = lqibe.SecretKey(_INFINITY_G1)
    assert lqibe.decrypt(anybody, lqibe.identity_point(b"identity"), message) == b"content"
