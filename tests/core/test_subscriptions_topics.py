"""Who may read a record may talk about it with the others who may, in whichever process they are."""

from typing import Any
from uuid import uuid4

import pytest
from tests.core.subscription_house import Ear, House
from tests.wealth.factories import a_client, a_portal_user, an_administrator, an_advisor

from atrium.core.subscriptions import topics


async def join(ear: Ear, topic: str) -> None:
    await ear.say(type="join", topic=topic, id="j")
    assert await ear.hear() == {"type": "joined", "topic": topic, "id": "j"}


async def speak(ear: Ear, topic: str, **payload: Any) -> None:
    await ear.say(type="broadcast", topic=topic, event="typing", payload=payload)


async def test_members_in_all_processes_hear_it_but_the_speaker(house: House) -> None:
    advisor = await an_advisor(house.runtime)
    portal = await a_portal_user(house.runtime, advisor)
    topic = f"clients/{portal.id}"
    async with (
        house.here.listen(advisor) as speaker,
        house.here.listen(advisor) as near,
        house.there.listen(portal) as far,
    ):
        for ear in (speaker, near, far):
            await join(ear, topic)
        await speak(speaker, topic, field="phone")
        heard = [await ear.hear() for ear in (near, far)]
        await speak(far, topic, field="city")
        answered = await speaker.hear()

    assert heard[0] == heard[1]
    assert {name: heard[0][name] for name in ("type", "topic", "event", "payload", "from")} == {
        "type": "broadcast",
        "topic": topic,
        "event": "typing",
        "payload": {"field": "phone"},
        "from": str(advisor.user_id),
    }
    assert (answered["from"], answered["payload"]) == (str(portal.user_id), {"field": "city"})


async def test_a_foreign_record_is_no_topic(house: House) -> None:
    advisor, other = await an_advisor(house.runtime), await an_advisor(house.runtime)
    foreign = await a_client(house.runtime, other)
    async with house.here.listen(advisor) as ear:
        for topic in (f"clients/{foreign}", f"clients/{uuid4()}", "clients/nonsense"):
            assert (await ear.refused(type="join", topic=topic, id="x"))["code"] == "NOT_FOUND"
            error = await ear.refused(type="broadcast", topic=topic, event="typing", id="y")
            assert (error["code"], error["id"]) == ("NOT_FOUND", "y")
        assert (await ear.refused(type="join", topic="dragons/1"))["code"] == "UNKNOWN_RESOURCE"
        assert (await ear.refused(type="leave", topic=f"clients/{foreign}"))["code"] == "NOT_FOUND"
        assert (await ear.refused(type="broadcast", topic=f"clients/{foreign}"))["code"] == "VALIDATION_ERROR"


async def test_who_left_hears_nothing(house: House) -> None:
    advisor = await an_advisor(house.runtime)
    topic = f"clients/{await a_client(house.runtime, advisor)}"
    async with (
        house.here.listen(advisor) as speaker,
        house.here.listen(advisor) as witness,
        house.here.listen(advisor) as ear,
    ):
        await join(witness, topic)
        await join(ear, topic)
        assert (await ear.refused(type="join", topic=topic))["code"] == "CONFLICT"
        await ear.say(type="leave", topic=topic)
        assert (await ear.hear())["type"] == "left"
        await speak(speaker, topic, number=1)
        assert (await witness.hear())["payload"] == {"number": 1}
        await join(ear, topic)
        await speak(speaker, topic, number=2)
        assert (await ear.hear())["payload"] == {"number": 2}


async def test_who_may_no_longer_read_the_record_hears_no_more_of_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "TRUSTED_SECONDS", 0)
    advisor, other = await an_advisor(house.runtime), await an_advisor(house.runtime)
    administrator = await an_administrator(house.runtime)
    client = await a_client(house.runtime, advisor)
    topic = f"clients/{client}"
    async with house.here.listen(advisor) as ear, house.here.listen(administrator) as speaker:
        await join(ear, topic)
        await speak(speaker, topic, number=1)
        assert (await ear.hear())["payload"] == {"number": 1}
        await house.here.edit(administrator, client, advisor_id=str(other.id))
        await speak(speaker, topic, number=2)
        error = await ear.hear()
        await speak(speaker, topic, number=3)
        await ear.say(type="ping", id="p")
        assert (await ear.hear())["type"] == "pong"

    assert (error["type"], error["code"], error["topic"]) == ("error", "NOT_FOUND", topic)


async def test_a_socket_is_in_twenty_topics(house: House) -> None:
    advisor = await an_advisor(house.runtime)
    async with house.here.listen(advisor) as ear:
        for _ in range(20):
            await join(ear, f"clients/{await a_client(house.runtime, advisor)}")
        one_more = f"clients/{await a_client(house.runtime, advisor)}"
        assert (await ear.refused(type="join", topic=one_more))["code"] == "TOO_MANY_TOPICS"
