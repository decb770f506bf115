from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from atrium.wealth.rules import growth
from atrium.wealth.rules.growth import Known, Subject

TODAY = date(2026, 6, 15)
NOW = datetime(2026, 6, 15, 9, tzinfo=UTC)
RULES = {rule.code: rule for rule in growth.RULES}


def subject(**over: Any) -> Subject:
    known = {"id": UUID(int=1), "name": "Nadia Rosen", "service_tier": "silver", "kyc_status": "approved"}
    return Subject(**{**known, **over})


def found(code: str, **over: Any) -> growth.Finding | None:
    return growth.examine(RULES[code], subject(**over), TODAY)


def days(count: int) -> date:
    return TODAY + timedelta(days=count)


@pytest.mark.parametrize(
    ("code", "over", "score"),
    [
        ("LAPSED_CONTACT", {"last_contact_at": NOW - timedelta(days=135)}, 46),
        ("LAPSED_CONTACT", {"last_contact_at": NOW - timedelta(days=90)}, 35),
        ("LAPSED_CONTACT", {"last_contact_at": NOW - timedelta(days=999)}, 80),
        ("REVIEW_DUE", {"next_review_on": days(-30)}, 58),
        ("REVIEW_DUE", {"next_review_on": days(30)}, 35),
        ("BIRTHDAY", {"date_of_birth": date(1980, 6, 19)}, 26),
        ("BIRTHDAY", {"date_of_birth": date(1961, 6, 19)}, 56),
        ("KYC_GAP", {"kyc_review_due_on": days(10)}, 67),
        ("KYC_GAP", {"kyc_review_due_on": days(-45)}, 85),
        ("KYC_GAP", {"kyc_status": "not_started"}, 100),
        ("KYC_GAP", {"kyc_status": "rejected"}, 100),
        ("KYC_GAP", {"kyc_status": "expired"}, 100),
    ],
)
def test_a_rule_scores_as_documented(code: str, over: dict[str, Any], score: int) -> None:
    finding = found(code, **over)

    assert finding is not None
    assert finding.score == score


@pytest.mark.parametrize(
    ("code", "over"),
    [
        ("LAPSED_CONTACT", {}),
        ("LAPSED_CONTACT", {"last_contact_at": NOW - timedelta(days=89)}),
        ("REVIEW_DUE", {}),
        ("REVIEW_DUE", {"next_review_on": days(31)}),
        ("BIRTHDAY", {}),
        ("BIRTHDAY", {"date_of_birth": date(1980, 6, 30)}),
        ("KYC_GAP", {}),
        ("KYC_GAP", {"kyc_review_due_on": days(31)}),
        ("KYC_GAP", {"kyc_status": "in_progress"}),
    ],
)
def test_a_rule_below_its_threshold_finds_nothing(code: str, over: dict[str, Any]) -> None:
    assert found(code, **over) is None


def test_a_half_birthday_at_59_is_a_milestone() -> None:
    finding = found("BIRTHDAY", date_of_birth=date(1966, 12, 19))

    assert finding is not None
    assert (finding.score, finding.due_on) == (56, date(2026, 6, 19))
    assert "59½" in finding.title


@pytest.mark.parametrize(
    ("born", "today", "due"),
    [
        (date(1984, 2, 29), date(2026, 2, 20), date(2026, 2, 28)),
        (date(1984, 2, 29), date(2028, 2, 20), date(2028, 2, 29)),
        (date(1990, 1, 3), date(2026, 12, 28), date(2027, 1, 3)),
        (date(1966, 8, 31), date(2026, 2, 20), date(2026, 2, 28)),
    ],
)
def test_birthdays_at_the_edges_of_the_calendar(born: date, today: date, due: date) -> None:
    finding = growth.examine(RULES["BIRTHDAY"], subject(date_of_birth=born), today)

    assert finding is not None
    assert finding.due_on == due


def test_the_service_tier_decides_how_long_silence_may_last() -> None:
    last = NOW - timedelta(days=45)

    assert found("LAPSED_CONTACT", service_tier="platinum", last_contact_at=last) is not None
    assert found("LAPSED_CONTACT", service_tier="gold", last_contact_at=last) is None


def test_the_priority_of_a_client_adds_a_tenth_of_the_lesser_scores() -> None:
    assert growth.priority([55, 59, 46]) == 69
    assert growth.priority([40]) == 40
    assert growth.priority([100, 90, 80]) == 100


def test_evidence_shows_inputs_measure_and_threshold() -> None:
    finding = found("LAPSED_CONTACT", last_contact_at=NOW - timedelta(days=135))

    assert finding is not None
    assert finding.evidence == {
        "inputs": {"last_contact_on": "2026-01-31", "days": 135, "sla_days": 90, "service_tier": "silver"},
        "m": 1.5,
        "thr": 1,
    }


def test_fingerprints_tell_rules_and_clients_apart() -> None:
    one, two = uuid4(), uuid4()
    prints = {growth.fingerprint(rule, client, client) for rule in growth.CODES for client in (one, two)}

    assert len(prints) == 2 * len(growth.CODES)
    assert growth.fingerprint("BIRTHDAY", one, one) == growth.fingerprint("BIRTHDAY", one, one)


@pytest.mark.parametrize(
    ("status", "score", "closed_days_ago", "outcome"),
    [
        ("open", 46, None, "seen"),
        ("in_progress", 46, None, "seen"),
        ("snoozed", 46, None, "seen"),
        ("won", 46, 1, "new"),
        ("resolved", 46, 1, "new"),
        ("expired", 46, 1, "new"),
        ("dismissed", 46, 89, "nothing"),
        ("dismissed", 46, 90, "new"),
        ("dismissed", 27, 1, "nothing"),
        ("dismissed", 26, 1, "new"),
    ],
)
def test_what_a_rescan_makes_of_a_known_finding(
    status: str, score: int, closed_days_ago: int | None, outcome: str
) -> None:
    finding = found("LAPSED_CONTACT", last_contact_at=NOW - timedelta(days=135))
    assert finding is not None
    closed = None if closed_days_ago is None else NOW - timedelta(days=closed_days_ago)
    known = Known(uuid4(), status, score, closed)

    verdict = growth.judge([finding], {finding.fingerprint: known}, NOW)

    assert outcome == ("new" if verdict.new else "seen" if verdict.seen else "nothing")
