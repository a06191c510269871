"""Clocks that differ: a minute is borne and said, more is refused and said (wave.md 3.5)."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tests.support.worlds import DAY_S, NOW, World, after, make_entity
from wavemq.authz.admission import Admission
from wavemq.authz.publishing import Publishing
from wavemq.authz.skew import WARNING_SECONDS_MIN, SkewWarnings
from wavemq.authz.validity import period_of_entity, standing_of_period
from wavemq.authz.verdicts import Validity, ValidityState
from wavemq.errors import InvalidParameterError, NoProofFoundError, ProofInvalidError
from wavemq.limits import CLOCK_SKEW_TOLERATED_S
from wavemq.wave.validity import Validity as Period

TEXTS = {"expired": "Thing expired", "pending": "Thing not valid yet"}


def starting(seconds: float) -> Period:
    """Return a period that begins so many seconds after `NOW`, and lasts a year."""
    return Period(after(seconds), after(365 * DAY_S))


# --- one period -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begins_s", "state"),
    [
        (-1, ValidityState.VALID),
        (0, ValidityState.VALID),
        (1, ValidityState.VALID),
        (59, ValidityState.VALID),
        (CLOCK_SKEW_TOLERATED_S, ValidityState.VALID),
        (61, ValidityState.NOT_YET_VALID),
        (DAY_S, ValidityState.NOT_YET_VALID),
    ],
)
def test_beginning_up_to_a_minute_ahead_is_borne(begins_s: float, state: ValidityState) -> None:
    standing = standing_of_period(starting(begins_s), NOW, **TEXTS)
    assert standing.state is state
    assert standing.message == ("" if state is ValidityState.VALID else "Thing not valid yet")
    assert (standing.note == "") is (begins_s <= 0)


@pytest.mark.parametrize(("ends_s", "is_valid"), [(1, True), (0, True), (-1, False), (-59, False)])
def test_end_is_not_put_off(ends_s: float, is_valid: bool) -> None:
    period = Period(after(-DAY_S), after(ends_s))
    standing = standing_of_period(period, NOW, **TEXTS)
    assert standing.is_valid is is_valid
    assert standing.message == ("" if is_valid else "Thing expired")


@pytest.mark.parametrize(
    ("begins_s", "note"),
    [
        (0, ""),
        (1, "begins in 1 s; a clock is wrong"),
        (40, "begins in 40 s; a clock is wrong"),
        (
            61,
            "begins 2027-01-15 08:01:01 UTC, in 61 s; if that is not meant, a clock is wrong",
        ),
        (
            3600,
            "begins 2027-01-15 09:00:00 UTC, in 60 min; if that is not meant, a clock is wrong",
        ),
        (
            DAY_S,
            "begins 2027-01-16 08:00:00 UTC, in 24 h; if that is not meant, a clock is wrong",
        ),
        (
            7 * DAY_S,
            "begins 2027-01-22 08:00:00 UTC, in 7 d; if that is not meant, a clock is wrong",
        ),
    ],
)
def test_note_says_when_it_begins_and_by_how_much(begins_s: float, note: str) -> None:
    assert starting(begins_s).clock_note(NOW) == note


def test_original_texts_stay_as_they_are_and_people_read_more() -> None:
    entity = make_entity(not_before=after(DAY_S)).entity
    standing = period_of_entity(entity, NOW)
    assert standing.message == "Entity not valid yet"
    assert standing.explanation.startswith("Entity not valid yet: begins 2027-01-16 08:00:00 UTC")
    assert standing.explanation.endswith("a clock is wrong")
    assert Validity(ValidityState.EXPIRED, "Entity expired").explanation == "Entity expired"
    with pytest.raises(InvalidParameterError, match="Entity not valid yet: begins 2027-01-16"):
        entity.check_validity(NOW)


# --- everywhere that validity is decided ----------------------------------------------------------


@pytest.mark.parametrize("young", ["subject", "attester", "grant"])
@pytest.mark.parametrize(("begins_s", "is_good"), [(1, True), (59, True), (61, False)])
async def test_skew_is_borne_alike_by_prover_verifier_and_both_doors(
    young: str, begins_s: float, is_good: bool
) -> None:
    world = await World.create()
    moment = after(begins_s)
    for name, role in (("owner", "attester"), ("alice", "subject")):
        await world.add(name, not_before=moment if young == role else None)
    first = await world.grant("namespace", "owner", "publish", "*", indirections=1)
    second = await world.grant(
        "owner", "alice", "publish", "*", not_before=moment if young == "grant" else None
    )
    proof = world.proof(first, second)
    statements = world.policy("publish", "t").statements
    async with world.engine() as engine:
        perspective = await world.perspective(engine, "alice")
        admission = Admission(engine)
        publishing = Publishing(engine, admission, origin_router="here")
        found = await engine.lookup(perspective, now=NOW, subject=world.hash("alice"))
        assert [one.validity.is_valid for one in found] == [is_good]
        if is_good:
            built = await engine.prove(
                perspective, namespace=world.hash("namespace"), statements=statements, now=NOW
            )
            for der in (proof, built.der):
                verdict = await engine.verify(der, now=NOW)
                assert verdict.begins == moment
            await publishing.identify(world["alice"].to_bytes(), b"", None, NOW)
            assert engine.statistics().skews_tolerated > 0
            return
        with pytest.raises(NoProofFoundError):
            await engine.prove(
                perspective, namespace=world.hash("namespace"), statements=statements, now=NOW
            )
        with pytest.raises(ProofInvalidError, match="in 61 s; if that is not meant, a clock"):
            await engine.verify(proof, now=NOW)
        if young == "subject":
            with pytest.raises(InvalidParameterError, match="in 61 s"):
                await publishing.identify(world["alice"].to_bytes(), b"", None, NOW)
        assert engine.statistics().skews_tolerated == 0


async def test_entity_of_tomorrow_is_refused_by_name_and_said() -> None:
    world = await World.create()
    await world.add("tomorrow", not_before=after(DAY_S))
    async with world.engine() as engine:
        with pytest.raises(ProofInvalidError, match="Entity not valid yet: begins 2027-01-16"):
            await engine.valid_entity(world.hash("tomorrow"), now=NOW)


# --- the warning ----------------------------------------------------------------------------------


def test_warning_is_given_once_a_minute_at_most() -> None:
    warnings = SkewWarnings()
    with capture_logs() as logs:
        warnings.note(NOW, now=NOW)
        for seconds in (0, 1, WARNING_SECONDS_MIN - 1, WARNING_SECONDS_MIN):
            warnings.note(after(seconds + 40), now=after(seconds))
        warnings.note(after(40), now=NOW)  # the clock has been set back
    assert [log["event"] for log in logs] == ["clock_skew_tolerated"] * 3
    assert {log["ahead_ms"] for log in logs} == {40_000}
    assert warnings.count == 5
