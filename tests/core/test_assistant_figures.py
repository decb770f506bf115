from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest

from atrium.core.chat.figures import Evidence
from atrium.core.chat.verified import Writer

ROWS = [
    {
        "id": uuid4(),
        "clients": 12,
        "worth": Decimal("1234567.8900"),
        "share": Decimal("0.0525"),
        "opened_on": date(2026, 1, 31),
        "number": "ORD-2026-17",
        "at": "2026-02-03T14:30:00.000000Z",
        "change": Decimal(-500),
        "large": 1_200_000,
    }
]


@pytest.fixture
def evidence() -> Evidence:
    found = Evidence()
    found.add_value(ROWS)
    found.add_text("Is 5 enough for Q3?")
    return found


@pytest.mark.parametrize(
    "sentence",
    [
        "You have 12 clients.",
        "You have twelve clients.",
        "It is worth $1,234,567.89.",
        "It is worth USD 1 234 567.89.",
        "That is 5.25 % or 525 basis points, as a fraction 0.0525.",
        "Opened on 31 January 2026.",
        "Opened on January 31st, 2026, in other words 2026-01-31 or 31.01.2026.",
        "Opened in January 2026, so in 2026.",
        "Order ORD-2026-17 was placed at 14:30.",
        "It lost 500.",
        "Large is 1.2 million or 1.2M or 1,200k.",
        "You asked whether 5 is enough for Q3.",
        "\uff11\uff12 clients, in full-width digits.",
        "No one of them complained, and this quarter is quiet.",
        "Nothing to say in figures.",
    ],
)
def test_a_figure_that_was_returned_may_be_said(evidence: Evidence, sentence: str) -> None:
    assert evidence.unsupported(sentence) == []


@pytest.mark.parametrize(
    "sentence",
    [
        "You have 13 clients.",
        "You have thirteen clients.",
        "You have one client.",
        "You have twenty-one clients.",
        "You have two hundred and five clients.",
        "You have hundreds of clients.",
        "You have a dozen and 1 more.",
        "Half of them are active.",
        "A quarter of them are active.",
        "Their number doubled.",
        "It is worth about 1.23 million.",
        "It is worth 12 000.",
        "It is worth 12k.",
        "That is 5.3 %.",
        "Opened on 30 January 2026.",
        "Opened in March 2026.",
        "It began in 2027.",
        "Order ORD-2026-18 was placed.",
        "At 14:31.",
        "You have \uff11\uff13 clients.",
        "您有十二个客户",
        "You have Ⅻ clients.",
        "There were 17 orders.",
        "There were 31 days.",
    ],
)
def test_any_other_figure_may_not(evidence: Evidence, sentence: str) -> None:
    assert evidence.unsupported(sentence)


def test_only_the_sentence_with_the_invention_is_withheld(evidence: Evidence) -> None:
    writer = Writer(evidence)
    text = "You have 12 clients. Next year there will be 40. They are worth 1,234,567.89."

    said = "".join(writer.take(letter) for letter in text) + writer.rest()

    assert said == "You have 12 clients. They are worth 1,234,567.89."
    assert writer.withheld == 1


def test_a_number_is_not_judged_before_it_is_whole(evidence: Evidence) -> None:
    writer = Writer(evidence)

    assert writer.take("You have 1") == ""
    assert writer.take("2") == ""
    assert writer.take(" clients.") == ""
    assert writer.take(" ") == "You have 12 clients. "
    assert writer.take("And 12.") + writer.take("5 more") + writer.rest() == ""


def test_the_numbers_of_a_list_are_no_figures_as_long_as_they_count(evidence: Evidence) -> None:
    writer = Writer(evidence)

    said = writer.take("1. Alder\n2. Birch\n7. Cedar\n") + writer.rest()

    assert said == "1. Alder\n2. Birch\n"
