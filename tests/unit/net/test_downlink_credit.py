"""More deliveries under way on a quick link, few on a thin one."""

from __future__ import annotations

from wavemq.net.downlink_credit import CREDIT_FIRST, CREDIT_MOST, QUICK_SECONDS, DownlinkCredit
from wavemq.wire.calls import CREDIT_MAX


def test_credit_grows_while_deliveries_come_quickly_and_is_told_once() -> None:
    credit = DownlinkCredit(5.0)
    assert credit.note(CREDIT_FIRST - 1, 5.1) == 0
    assert credit.note(1, 5.2) == CREDIT_MOST
    assert credit.note(CREDIT_FIRST, 5.4) == 0
    assert credit.credit == CREDIT_MOST <= CREDIT_MAX


def test_credit_shrinks_when_the_link_becomes_thin() -> None:
    credit = DownlinkCredit(0.0)
    assert credit.note(CREDIT_FIRST, 0.1) == CREDIT_MOST
    assert credit.note(CREDIT_FIRST, 0.1 + QUICK_SECONDS + 0.01) == CREDIT_FIRST
    assert credit.note(CREDIT_FIRST, 10.0) == 0


def test_quick_is_so_many_a_second_however_many_are_told_of() -> None:
    at_the_bound, beyond = DownlinkCredit(0.0), DownlinkCredit(0.0)
    assert at_the_bound.note(2 * CREDIT_FIRST, 2 * QUICK_SECONDS) == CREDIT_MOST
    assert beyond.note(2 * CREDIT_FIRST, 2 * QUICK_SECONDS + 0.01) == 0
