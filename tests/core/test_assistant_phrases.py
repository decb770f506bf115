import msgspec
from tests.core.chat_house import LOOKUPS

from atrium.core.chat.engines import Past, Question, choose, what_can_be_asked
from atrium.core.lookups import Asking, Found, Lookup, phrases


class Top(msgspec.Struct):
    number: int


async def _nothing(_asking: Asking, _parameters: object) -> Found:
    return Found("")


TOP = Lookup("top", "", "", _nothing, parameters=Top, phrases=phrases(r"top (?P<number>\w+) cases"))
ANY = Lookup("any", "", "", _nothing, phrases=phrases(r"\bcases\b"))


def ask(text: str, *before: str, lookups: tuple[Lookup, ...] = (*LOOKUPS, TOP, ANY)) -> tuple[str, object] | None:
    history = [Past("user", one) for one in before]
    found = choose(Question(None, text, lookups, history))  # type: ignore[arg-type]
    return (found.lookup.name, msgspec.to_builtins(found.parameters)) if found else None


def test_the_most_specific_phrase_wins() -> None:
    assert ask("How many cases do I have?") == ("house.count_cases", {})
    assert ask("show the orders of Miller") == ("house.orders_of", {"name": "Miller"})
    assert ask("show the orders") == ("house.orders", {})


def test_parameters_are_converted_and_what_does_not_fit_is_not_chosen() -> None:
    assert ask("top 3 cases") == ("top", {"number": 3})
    assert ask("top three cases") == ("any", {})


def test_a_follow_up_is_found_by_its_own_phrases_first() -> None:
    assert ask("And orders?", "How many cases do I have?") == ("house.orders", {})


def test_a_follow_up_fills_the_one_blank_of_the_question_before() -> None:
    assert ask("And Schmidt?", "orders of Miller") == ("house.orders_of", {"name": "Schmidt"})
    assert ask("Schmidt is a nice name", "orders of Miller") is None
    assert ask("And Schmidt?", "How many cases do I have?") is None


def test_what_can_be_asked_names_the_callers_own_examples() -> None:
    text = what_can_be_asked(LOOKUPS)

    assert "How many cases do I have?" in text
    assert what_can_be_asked(()).startswith("There is nothing")
