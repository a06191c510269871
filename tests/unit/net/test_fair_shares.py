"""Who gives way when all connections are taken."""

from __future__ import annotations

import pytest

from wavemq.net.fair_shares import FairShares, source_of


@pytest.mark.parametrize(
    ("address", "other", "is_same"),
    [
        (("10.0.0.1", 1), ("10.0.0.1", 2), True),
        (("10.0.0.1", 1), ("10.0.0.2", 1), False),
        (("::ffff:10.0.0.1", 1, 0, 0), ("10.0.0.1", 1), True),
        (("2001:db8::1", 1, 0, 0), ("2001:db8::ffff:1", 1, 0, 0), True),
        (("2001:db8::1", 1, 0, 0), ("2001:db8:0:1::1", 1, 0, 0), False),
        (("fe80::1%eth0", 1, 0, 2), ("fe80::2%eth0", 1, 0, 2), True),
        ("", "", True),
    ],
)
def test_source_is_an_address_or_a_network_of_one_host(
    address: object,
    other: object,
    is_same: bool,
) -> None:
    assert (source_of(address) == source_of(other)) is is_same


def test_oldest_of_who_has_most_gives_way_to_who_has_fewer() -> None:
    shares = FairShares(4)
    for number, source in enumerate(("few", "many", "many", "many")):
        shares.add(number, source)
    assert shares.is_full
    assert shares.giving_way_to("new") == 1
    assert shares.giving_way_to("few") == 1
    assert shares.giving_way_to("many") is None
    assert shares.oldest_of_largest() == 1
    shares.discard(1)
    shares.discard(1)
    assert (len(shares), shares.is_full, 1 in shares, 2 in shares) == (3, False, False, True)
    assert shares.giving_way_to("few") is None, "with one more it would have as many"


def test_nobody_gives_way_where_all_have_their_share() -> None:
    shares = FairShares(2)
    shares.add(0, "one")
    shares.add(1, "other")
    assert shares.giving_way_to("third") is None
    assert FairShares(1).giving_way_to("first") is None
