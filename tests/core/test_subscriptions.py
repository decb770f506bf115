"""Who is subscribed hears what happens, sees what REST would show, and nothing else."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from tests.core.subscription_house import House
from tests.wealth.factories import (
    a_client,
    a_portal_user,
    a_stranger,
    an_administrator,
    an_advisor,
    an_officer,
    an_order,
)


async def test_an_update_is_told_with_the_record_as_rest_shows_it(house: House) -> None:
    advisor = await an_advisor(house.runtime)
    client = await a_client(house.runtime, advisor)
    async with house.here.listen(advisor) as ear:
        position = await ear.subscribe()
        answered = await house.here.edit(advisor, client, phone="+97250111")
        told = await ear.change()

    assert (told["id"], told["resource"], told["action"], told["record_id"]) == ("s1", "clients", "update", str(client))
    assert told["changed"] == ["phone"]
    assert told["record"] == answered
    assert told["position"] > position
    assert told["occurred_at"].endswith("Z")


async def test_create_update_and_delete_come_in_their_order(house: House) -> None:
    advisor = await an_advisor(house.runtime)
    async with house.here.listen(advisor) as ear:
        await ear.subscribe()
        made = await house.here.call(
            "POST", "/api/v1/clients", advisor, {"first_name": "Noa", "last_name": "Levi", "city": "Haifa"}
        )
        await house.here.edit(advisor, made["id"], city="Yafo")
        told = await ear.changes(2)
        await house.here.call("DELETE", f"/api/v1/clients/{made['id']}", advisor)
        told.append(await ear.change())

    assert [one["action"] for one in told] == ["create", "update", "delete"]
    assert {one["record_id"] for one in told} == {made["id"]}
    assert [one["position"] for one in told] == sorted({one["position"] for one in told})
    assert told[1]["record"]["city"] == "Yafo"
    assert told[2]["record"] is None


async def test_a_foreign_record_is_never_told(house: House) -> None:
    advisor, other = await an_advisor(house.runtime), await an_advisor(house.runtime)
    own, foreign = await a_client(house.runtime, advisor), await a_client(house.runtime, other)
    async with house.here.listen(advisor) as ear, house.there.listen(other) as others:
        await ear.subscribe()
        await others.subscribe()
        await house.here.edit(other, foreign, city="Eilat")
        await house.here.edit(advisor, own, city="Haifa")
        assert [(await one.change())["record_id"] for one in (ear, others)] == [str(own), str(foreign)]
        await house.here.edit(other, foreign, city="Arad")
        assert (await others.change())["record"]["city"] == "Arad"
        await house.here.edit(advisor, own, city="Yafo")
        assert (await ear.change())["record"]["city"] == "Yafo"


async def test_a_client_that_moves_to_another_book_leaves_the_one_and_enters_the_other(house: House) -> None:
    advisor, other = await an_advisor(house.runtime), await an_advisor(house.runtime)
    administrator = await an_administrator(house.runtime)
    client = await a_client(house.runtime, advisor)
    async with house.here.listen(advisor) as ear, house.here.listen(other) as others:
        await ear.subscribe()
        await others.subscribe()
        await house.here.edit(administrator, client, advisor_id=str(other.id))
        left, entered = await ear.change(), await others.change()

    assert (left["action"], left["record"], left["record_id"]) == ("leave", None, str(client))
    assert (entered["action"], entered["record"]["advisor_id"]) == ("update", str(other.id))


async def test_a_filter_narrows_what_is_told_and_what_leaves_it_is_told(house: House) -> None:
    advisor = await an_advisor(house.runtime)
    inside, outside = [await a_client(house.runtime, advisor, city=city) for city in ("Haifa", "Yafo")]
    async with house.here.listen(advisor) as ear:
        await ear.subscribe(filter="city=Haifa")
        await house.here.edit(advisor, outside, phone="1")
        await house.here.edit(advisor, inside, phone="2")
        await house.here.edit(advisor, inside, city="Yafo")
        await house.here.edit(advisor, inside, phone="3")
        await house.here.edit(advisor, outside, city="Haifa")
        told = [(one["action"], one["record_id"], one["changed"]) for one in await ear.changes(3)]

    assert told == [
        ("update", str(inside), ["phone"]),
        ("leave", str(inside), ["city"]),
        ("update", str(outside), ["city"]),
    ]


@pytest.mark.parametrize(
    "asked",
    [
        "status__in=active,prospect&or=(city.eq.Haifa,city.eq.Yafo)",
        "net_worth__gte=100&net_worth__lt=1000000.5",
        "city__isnull=false",
        "search=rosen",
        "q=nad",
        "orders.symbol=AAPL",
        "orders__isnull=false",
        "city__startswith=Ha&id__in={id}",
        "created_at__gte=2020-01-01T00:00:00Z",
    ],
)
async def test_every_sort_of_filter_is_understood(house: House, asked: str) -> None:
    advisor = await an_advisor(house.runtime)
    values = {"city": "Haifa", "net_worth": 5000, "status": "active"}
    fitting, misfit = [await a_client(house.runtime, advisor, **values) for _ in range(2)]
    misfit = await a_client(house.runtime, advisor, first_name="Ann", last_name="Bo")
    await an_order(house.runtime, advisor, fitting)
    asked = asked.format(id=fitting)
    listed = await house.here.call("GET", f"/api/v1/clients?{asked}", advisor)
    assert str(fitting) in [one["id"] for one in listed["items"]]
    fits_all = str(misfit) in [one["id"] for one in listed["items"]]
    async with house.here.listen(advisor) as ear:
        await ear.subscribe(filter=asked)
        await house.here.edit(advisor, misfit, phone="1")
        await house.here.edit(advisor, fitting, phone="2")
        told = (await ear.change())["record_id"]

    assert told == (str(misfit) if fits_all else str(fitting))


async def test_only_the_wanted_actions_are_told(house: House) -> None:
    advisor = await an_advisor(house.runtime)
    client = await a_client(house.runtime, advisor)
    async with house.here.listen(advisor) as ear:
        await ear.subscribe(actions=["delete"])
        await house.here.edit(advisor, client, city="Haifa")
        await house.here.call("DELETE", f"/api/v1/clients/{client}", advisor)
        assert (await ear.change())["action"] == "delete"


async def test_masked_fields_are_neither_shown_nor_named(house: House) -> None:
    administrator = await an_administrator(house.runtime)
    advisor = await an_advisor(house.runtime)
    portal = await a_portal_user(house.runtime, advisor)
    async with house.here.listen(portal) as ear, house.here.listen(administrator) as all_seeing:
        await ear.subscribe("advisors")
        await all_seeing.subscribe("advisors", filter=f"id={advisor.id}")
        await house.here.call(
            "PATCH", f"/api/v1/admin/advisors/{advisor.id}", administrator, {"title": "Partner", "client_capacity": 7}
        )
        masked, whole = await ear.change(), await all_seeing.change()

    shown = await house.here.call("GET", f"/api/v1/admin/advisors/{advisor.id}", portal)
    assert masked["record"] == shown
    assert masked["changed"] == ["title"]
    assert set(whole["changed"]) == {"title", "client_capacity"}


async def test_several_policy_kinds_and_filters_hear_the_same_change_in_both_processes(house: House) -> None:
    advisor, officer = await an_advisor(house.runtime), await an_officer(house.runtime)
    administrator = await an_administrator(house.runtime)
    portal = await a_portal_user(house.runtime, advisor, city="Haifa")
    listeners = [(advisor, ""), (officer, f"id={portal.id}"), (administrator, f"id={portal.id}"), (portal, "")]
    for who, asked in listeners:
        async with house.here.listen(who) as one, house.there.listen(who) as two:
            await one.subscribe(filter=asked)
            await two.subscribe(filter=asked)
            await house.here.edit(portal, portal.id, phone=f"+{len(asked)}{who.user_id.int % 1000}")
            assert await one.change() == await two.change()


@pytest.mark.parametrize(
    ("frame", "code", "said"),
    [
        ({"id": "s1"}, "VALIDATION_ERROR", "resource"),
        ({"resource": "clients"}, "VALIDATION_ERROR", "id"),
        ({"id": "s1", "resource": "clients", "colour": "red"}, "VALIDATION_ERROR", "colour"),
        ({"id": "s1", "resource": "clients", "actions": ["fly"]}, "VALIDATION_ERROR", "actions"),
        ({"id": "s1", "resource": "clients", "since": -1}, "VALIDATION_ERROR", "since"),
        ({"id": "s1", "resource": "dragons"}, "UNKNOWN_RESOURCE", "clients"),
        ({"id": "s1", "resource": "clients", "filter": "colour=red"}, "UNKNOWN_PARAMETER", "colour"),
        ({"id": "s1", "resource": "clients", "filter": "limit=3"}, "UNKNOWN_PARAMETER", "limit"),
        ({"id": "s1", "resource": "clients", "filter": "include=orders"}, "UNKNOWN_PARAMETER", "include"),
        ({"id": "s1", "resource": "clients", "filter": "include.orders.limit=1"}, "UNKNOWN_PARAMETER", "include"),
        ({"id": "s1", "resource": "clients", "filter": "net_worth__gte=much"}, "VALIDATION_ERROR", "net_worth"),
    ],
)
async def test_a_bad_subscription_is_refused_and_the_socket_stays(
    house: House, frame: dict[str, Any], code: str, said: str
) -> None:
    advisor = await an_advisor(house.runtime)
    async with house.here.listen(advisor) as ear:
        error = await ear.refused(type="subscribe", **frame)
        await ear.subscribe()

    assert error["code"] == code, error
    assert said in error["message"]
    assert error.get("id") == frame.get("id")


async def test_a_masked_column_is_no_filter(house: House) -> None:
    portal = await a_portal_user(house.runtime, await an_advisor(house.runtime))
    async with house.here.listen(portal) as ear:
        error = await ear.refused(type="subscribe", id="s1", resource="advisors", filter="advisor_code=A1")
    assert error["code"] == "UNKNOWN_PARAMETER"


async def test_who_may_not_read_a_resource_cannot_subscribe_to_it(house: House) -> None:
    async with house.here.listen(await a_stranger(house.runtime)) as ear:
        error = await ear.refused(type="subscribe", id="s1", resource="clients")
        unknown = await ear.refused(type="subscribe", id="s1", resource="dragons")

    assert error["code"] == "NOT_FOUND"
    assert "clients" not in unknown["message"]


async def test_an_id_is_used_once_at_a_time_and_a_socket_has_twenty(house: House) -> None:
    advisor = await an_advisor(house.runtime)
    async with house.here.listen(advisor) as ear:
        for number in range(20):
            await ear.subscribe(id=f"s{number}")
        assert (await ear.refused(type="subscribe", id="s3", resource="clients"))["code"] == "CONFLICT"
        assert (await ear.refused(type="subscribe", id="x", resource="clients"))["code"] == "TOO_MANY_SUBSCRIPTIONS"
        await ear.say(type="unsubscribe", id="s3")
        assert await ear.hear() == {"type": "unsubscribed", "id": "s3"}
        await ear.subscribe(id="s3")
        assert (await ear.refused(type="unsubscribe", id="s99"))["code"] == "NOT_FOUND"


async def test_what_is_unsubscribed_is_not_told(house: House) -> None:
    advisor = await an_advisor(house.runtime)
    client = await a_client(house.runtime, advisor)
    async with house.here.listen(advisor) as ear:
        await ear.subscribe(id="one")
        await ear.subscribe(id="two")
        await ear.say(type="unsubscribe", id="one")
        await ear.hear("unsubscribed")
        await house.here.edit(advisor, client, city="Haifa")
        assert (await ear.change())["id"] == "two"
        await house.here.edit(advisor, client, city="Yafo")
        assert (await ear.change())["id"] == "two"


async def test_who_goes_leaves_nothing_behind(house: House) -> None:
    advisor = await an_advisor(house.runtime)
    async with house.here.listen(advisor) as ear:
        await ear.subscribe()
        assert len(house.here.feed.subscriptions) == 1
    async with asyncio.timeout(5):
        while house.here.feed.subscriptions:
            await asyncio.sleep(0.01)


async def test_nothing_is_told_of_what_was_rolled_back(house: House) -> None:
    advisor = await an_advisor(house.runtime)
    client = await a_client(house.runtime, advisor)
    async with house.here.listen(advisor) as ear:
        await ear.subscribe()
        async with house.runtime.database.pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute("UPDATE wealth.clients SET city = 'Nowhere' WHERE id = $1", client)
            await transaction.rollback()
        await house.here.edit(advisor, client, city="Haifa")
        assert (await ear.change())["record"]["city"] == "Haifa"


async def test_the_steps_of_a_record_in_one_transaction_are_all_told(house: House) -> None:
    advisor = await an_advisor(house.runtime)
    client = await a_client(house.runtime, advisor, city="Haifa")
    async with house.here.listen(advisor) as every, house.here.listen(advisor) as narrow:
        await every.subscribe()
        await narrow.subscribe(filter="city=Haifa")
        async with house.runtime.database.pool.acquire() as connection, connection.transaction():
            for city in ("Yafo", "Haifa", "Arad"):
                await connection.execute("UPDATE wealth.clients SET city = $2 WHERE id = $1", client, city)
        told = [(one["action"], one["record"]["city"]) for one in await every.changes(3)]
        left = [(one["action"], one["record"]) for one in await narrow.changes(3)]

    assert told == [("update", "Arad")] * 3
    assert left == [("leave", None), ("update", None), ("leave", None)]


async def test_a_row_that_is_really_deleted_is_told_to_those_who_saw_it(house: House) -> None:
    administrator = await an_administrator(house.runtime)
    code = uuid4().hex[:12]
    async with house.here.listen(administrator) as ear, house.here.listen(administrator) as narrow:
        await ear.subscribe("branches", filter=f"code={code}")
        await narrow.subscribe("branches", filter=f"code={uuid4().hex[:12]}")
        sql = "INSERT INTO wealth.branches (id, code, name, country) VALUES ($1, $2, 'N', 'IL')"
        row_id = uuid4()
        await house.runtime.database.pool.execute(sql, row_id, code)
        await house.runtime.database.pool.execute("DELETE FROM wealth.branches WHERE id = $1", row_id)
        told = [(one["action"], one["record_id"]) for one in await ear.changes(2)]

    assert told == [("create", str(row_id)), ("delete", str(row_id))]
