"""Every declared resource, every role, own and foreign rows, every verb, against a literal table.

The table is copied from the access lines of the specification, never derived from a policy: deleting any clause of any
policy must make a cell fail. A resource that has no line here fails too.
"""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from sqlalchemy import Boolean, Column, Date, DateTime, Integer, LargeBinary, Numeric, String, Uuid, update
from sqlalchemy.dialects.postgresql import JSONB
from tests.core.factories import a_principal, a_role, an_account, headers_for

from atrium.app import MODULES
from atrium.core.db.columns import Mark
from atrium.core.resources.resource import Resource
from atrium.core.runtime import Runtime
from atrium.core.services import Work, unit_of_work

RESOURCES = {resource.name: resource for module in MODULES for resource in module.resources}
VERBS = sorted({code for resource in RESOURCES.values() for code in resource.permissions()})

# What a role may do with a row: "all" rows; its "own" rows (foreign ones are 404); "seen": it may read the own row but
# not write it (403; foreign 404); "refused": its module is there, the verb is not for it (403); "absent": 404 for
# everything; "locked": it may write, but none of the fields sent (422).
# The clerk, client+ and officer+ hold every verb of the module, as a role that an administrator made may: permissions
# open verbs and never rows.
# read, create, update, delete
ACCESS: dict[str, dict[str, tuple[str, str, str, str]]] = {
    "branches": {
        "advisor": ("all", "refused", "refused", "refused"),
        "mate": ("all", "refused", "refused", "refused"),
        "client": ("refused", "refused", "refused", "refused"),
        "compliance": ("all", "refused", "refused", "refused"),
        "admin": ("all", "all", "all", "all"),
        "stranger": ("absent", "absent", "absent", "absent"),
        "clerk": ("all", "refused", "all-seen", "all-seen"),
        "client+": ("all", "refused", "all-seen", "all-seen"),
        "officer+": ("all", "refused", "all-seen", "all-seen"),
    },
    "teams": {
        "advisor": ("all", "refused", "refused", "refused"),
        "mate": ("all", "refused", "refused", "refused"),
        "client": ("refused", "refused", "refused", "refused"),
        "compliance": ("all", "refused", "refused", "refused"),
        "admin": ("all", "all", "all", "all"),
        "stranger": ("absent", "absent", "absent", "absent"),
        "clerk": ("all", "refused", "all-seen", "all-seen"),
        "client+": ("all", "refused", "all-seen", "all-seen"),
        "officer+": ("all", "refused", "all-seen", "all-seen"),
    },
    "advisors": {
        "advisor": ("all", "refused", "own-only", "refused"),
        "mate": ("all", "refused", "all-seen", "refused"),
        "client": ("own", "refused", "refused", "refused"),
        "compliance": ("all", "refused", "refused", "refused"),
        "admin": ("all", "all", "all", "all"),
        "stranger": ("absent", "absent", "absent", "absent"),
        "clerk": ("none", "absent", "absent", "absent"),
        "client+": ("own", "refused", "seen", "absent"),
        "officer+": ("all", "refused", "all-seen", "all-seen"),
    },
    "households": {
        "advisor": ("own", "own", "own", "own"),
        "mate": ("own", "own", "own", "own"),
        "client": ("own", "refused", "refused", "refused"),
        "compliance": ("all", "refused", "refused", "refused"),
        "admin": ("all", "all", "all", "all"),
        "stranger": ("absent", "absent", "absent", "absent"),
        "clerk": ("none", "absent", "absent", "absent"),
        "client+": ("own", "refused", "seen", "absent"),
        "officer+": ("all", "refused", "all-seen", "all-seen"),
    },
    "clients": {
        "advisor": ("own", "own", "own", "own"),
        "mate": ("own", "own", "own", "own"),
        "client": ("own", "refused", "own", "refused"),
        "compliance": ("all", "refused", "refused", "refused"),
        "admin": ("all", "all", "all", "all"),
        "stranger": ("absent", "absent", "absent", "absent"),
        "clerk": ("none", "absent", "absent", "absent"),
        "client+": ("own", "locked", "own", "absent"),
        "officer+": ("all", "refused", "all-seen", "all-seen"),
    },
    "client_relationships": {
        "advisor": ("own", "own", "own", "own"),
        "mate": ("own", "own", "own", "own"),
        "client": ("own", "refused", "refused", "refused"),
        "compliance": ("all", "refused", "refused", "refused"),
        "admin": ("all", "all", "all", "all"),
        "stranger": ("absent", "absent", "absent", "absent"),
        "clerk": ("none", "absent", "absent", "absent"),
        "client+": ("own", "refused", "seen", "seen"),
        "officer+": ("all", "refused", "all-seen", "all-seen"),
    },
    "notes": {
        "advisor": ("own", "own", "own", "own"),
        "mate": ("own", "own", "seen", "seen"),
        "client": ("none", "refused", "refused", "refused"),
        "compliance": ("all", "refused", "refused", "refused"),
        "admin": ("all", "all", "all", "all"),
        "stranger": ("absent", "absent", "absent", "absent"),
        "clerk": ("none", "absent", "absent", "absent"),
        "client+": ("none", "refused", "absent", "absent"),
        "officer+": ("all", "refused", "all-seen", "all-seen"),
    },
    "orders": {
        "advisor": ("own", "own", "own", "own"),
        "mate": ("own", "own", "own", "own"),
        "client": ("own", "own", "seen", "refused"),
        "compliance": ("all", "refused", "refused", "refused"),
        "admin": ("all", "all", "all", "all"),
        "stranger": ("absent", "absent", "absent", "absent"),
        "clerk": ("none", "absent", "absent", "absent"),
        "client+": ("own", "own", "seen", "seen"),
        "officer+": ("all", "refused", "all-seen", "all-seen"),
    },
    "growth_scans": {
        "advisor": ("own", "never", "never", "never"),
        "mate": ("none", "never", "never", "never"),
        "client": ("refused", "never", "never", "never"),
        "compliance": ("all", "never", "never", "never"),
        "admin": ("all", "never", "never", "never"),
        "stranger": ("absent", "never", "never", "never"),
        "clerk": ("none", "never", "never", "never"),
        "client+": ("none", "never", "never", "never"),
        "officer+": ("all", "never", "never", "never"),
    },
    "opportunities": {
        "advisor": ("own", "never", "own", "never"),
        "mate": ("own", "never", "own", "never"),
        "client": ("refused", "never", "refused", "never"),
        "compliance": ("all", "never", "refused", "never"),
        "admin": ("all", "never", "all", "never"),
        "stranger": ("absent", "never", "absent", "never"),
        "clerk": ("none", "never", "absent", "never"),
        "client+": ("none", "never", "absent", "never"),
        "officer+": ("all", "never", "all-seen", "never"),
    },
}

# One harmless change per resource that every role allowed to update may make.
# Who may create, in a place that is not theirs: the row would leave their scope (403), hangs from a parent in its body
# that they may not see (422), or from one in its path (404).
CREATE_ELSEWHERE: dict[str, dict[str, int]] = {
    "households": {"advisor": 403, "mate": 403},
    "clients": {"advisor": 403, "mate": 403},
    "client_relationships": {"advisor": 404, "mate": 404},
    "notes": {"advisor": 422, "mate": 422},
    "orders": {"advisor": 422, "mate": 422, "client": 403, "client+": 403},
}

CHANGE: dict[str, dict[str, Any]] = {
    "branches": {"city": "Haifa"},
    "teams": {"is_active": False},
    "advisors": {"title": "Partner"},
    "households": {"name": "Renamed"},
    "clients": {"city": "Haifa"},
    "client_relationships": {"name": "Renamed"},
    "notes": {"body": "Changed."},
    "orders": {"notes": "By phone."},
    "opportunities": {"due_on": "2030-01-01"},
}

# Fields that a role may read and not write although it may update the record.
LOCKED: dict[tuple[str, str], dict[str, Any]] = {
    ("clients", "advisor"): {
        "advisor_id": str(uuid4()),
        "user_id": str(uuid4()),
        "kyc_status": "approved",
        "kyc_risk_rating": "low",
        "kyc_review_due_on": "2030-01-01",
        "is_pep": True,
        "version": 7,
        "client_number": "C1",
    },
    ("clients", "client"): {
        "advisor_id": str(uuid4()),
        "kyc_status": "approved",
        "risk_profile": "aggressive",
        "first_name": "Other",
        "net_worth": 1,
        "household_id": None,
        "status": "active",
    },
    ("households", "advisor"): {"advisor_id": str(uuid4())},
    ("households", "mate"): {"advisor_id": str(uuid4())},
    ("orders", "client"): {
        "capacity": "principal",
        "lot_method": "fifo",
        "advisor_id": str(uuid4()),
        "status": "filled",
    },
    ("advisors", "advisor"): {
        "order_limit": 1,
        "status": "terminated",
        "discretionary_authority": True,
        "team_id": None,
    },
    ("orders", "advisor"): {"status": "filled", "filled_quantity": 1, "placed_by": str(uuid4()), "order_number": "x"},
    ("opportunities", "advisor"): {"status": "won", "score": 1, "fingerprint": "x"},
}

# Fields that do not exist for a role: not in its records, not for its filters.
HIDDEN: dict[tuple[str, str], tuple[str, ...]] = {
    ("advisors", "client"): (
        "order_limit",
        "crd_number",
        "client_capacity",
        "discretionary_authority",
        "team_id",
        "advisor_code",
        "currency",
        "hired_on",
        "terminated_on",
        "is_team_lead",
        "licenses",
        "licensed_regions",
    ),
    ("households", "client"): ("notes",),
}

LOCKED["clients", "mate"] = LOCKED["clients", "advisor"]

# Everything that a role may send to change a record.
WRITABLE: dict[tuple[str, str], tuple[str, ...]] = {
    ("advisors", "advisor"): ("title",),
    ("clients", "client"): (
        "address_line1",
        "address_line2",
        "city",
        "country_of_residence",
        "do_not_contact",
        "email",
        "marketing_opt_in",
        "phone",
        "postal_code",
        "preferred_channel",
        "preferred_name",
        "region",
    ),
    ("orders", "client"): (
        "basis",
        "currency",
        "expire_on",
        "limit_price",
        "notes",
        "notional",
        "order_type",
        "quantity",
        "side",
        "stop_price",
        "symbol",
        "time_in_force",
    ),
}

# Who sees a note of the advisor about the portal user's client, and who may change it, by visibility.
NOTES: dict[str, dict[str, tuple[int, int]]] = {
    "private": {"advisor": (200, 200), "client": (404, 403), "compliance": (200, 403), "other": (404, 404)},
    "team": {"advisor": (200, 200), "client": (404, 403), "compliance": (200, 403), "other": (404, 404)},
    "client": {"advisor": (200, 200), "client": (200, 403), "compliance": (200, 403), "other": (404, 404)},
}

# Columns that a row needs beside what the example and its types say.
ROW: dict[str, dict[str, Any]] = {
    "orders": {"status": "draft"},
    "growth_scans": {"client_id": None, "status": "completed"},
}


class Side:
    """One advisor's world: the rows that belong to it."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.ids: dict[str, UUID] = {}

    async def parent(self, work: Work, table: str) -> UUID:
        """The row of this side that a foreign key to that table names."""
        if table not in self.ids:
            resource = next(one for one in RESOURCES.values() if one.table.fullname == table)
            self.ids[table] = await self.row(work, resource)
        return self.ids[table]

    async def row(self, work: Work, resource: Resource) -> UUID:
        """A new row, written past every policy."""
        given = {**resource.example, **ROW.get(resource.name, {})}
        values: dict[str, Any] = {}
        for column in resource.table.columns:
            if column.name in given:
                values[column.name] = given[column.name]
            elif column.foreign_keys and (not column.nullable or column.info.get("scope")):
                values[column.name] = await self.parent(work, next(iter(column.foreign_keys)).column.table.fullname)
            elif not column.nullable and column.server_default is None and not column.primary_key:
                values[column.name] = _some(column)
            if (column.unique or column.name == "name") and isinstance(values.get(column.name), str):
                values[column.name] = uuid4().hex[:12]
        row = resource.model(**values)
        work.session.add(row)
        await work.session.flush()
        return row.id


def _some(column: Column[Any]) -> Any:
    if column.info.get("choices"):
        return column.info["choices"][0]
    kinds: tuple[tuple[type, Any], ...] = (
        (Uuid, uuid4()),
        (Boolean, True),
        (Integer, 1),
        (Numeric, Decimal(1)),
        (Date, date(2026, 1, 1)),
        (DateTime, datetime(2026, 1, 1, tzinfo=UTC)),
        (LargeBinary, b"x"),
        (JSONB, {}),
        (String, uuid4().hex[: getattr(column.type, "length", None) or 12]),
    )
    return next(value for kind, value in kinds if isinstance(column.type, kind))


class World:
    """Two advisors apart and one who shares a book with a mate; the roles that look at them; fresh rows on each
    side."""

    def __init__(self, runtime: Runtime, client: httpx.AsyncClient) -> None:
        self.runtime, self.client = runtime, client
        self.own, self.portal, self.shared, self.foreign = Side(self), Side(self), Side(self), Side(self)
        self.headers: dict[str, dict[str, str]] = {}

    async def build(self) -> None:
        users = {
            "advisor": "wealth_advisor",
            "mate": "wealth_advisor",
            "client": "client",
            "compliance": "compliance_officer",
            "admin": "admin",
            "stranger": None,
            "sharer": "wealth_advisor",
            "other": "wealth_advisor",
            "keeper": "wealth_advisor",
            "clerk": None,
            "client+": "client",
            "officer+": "compliance_officer",
        }
        every_verb = await a_role(self.runtime, *VERBS, module="wealth")
        accounts = {}
        for name, role in users.items():
            roles = [*([role] if role else []), *([every_verb] if name == "clerk" or name.endswith("+") else [])]
            accounts[name] = (await an_account(self.runtime, roles=roles)).id
        advisors, clients, teams = RESOURCES["advisors"].model, RESOURCES["clients"].model, RESOURCES["teams"].model
        async with unit_of_work(self.runtime) as work:
            for side, user, portal in (
                (self.own, "advisor", "client"),
                (self.portal, "keeper", "client+"),
                (self.shared, "sharer", None),
                (self.foreign, "other", None),
            ):
                side.ids["core.users"] = accounts[user]
                branch = await side.parent(work, "wealth.branches")
                team = teams(branch_id=branch, name=uuid4().hex, share_book=side is self.shared)
                work.session.add(team)
                await work.session.flush()
                advisor = advisors(user_id=accounts[user], advisor_code=uuid4().hex[:12], team_id=team.id)
                work.session.add(advisor)
                await work.session.flush()
                side.ids |= {"wealth.teams": team.id, "wealth.advisors": advisor.id}
                if side is self.shared:
                    work.session.add(advisors(user_id=accounts["mate"], advisor_code=uuid4().hex[:12], team_id=team.id))
                row = clients(advisor_id=advisor.id, last_name="Rosen", user_id=accounts[portal] if portal else None)
                work.session.add(row)
                await work.session.flush()
                side.ids["wealth.clients"] = row.id
                household = await side.parent(work, "wealth.households")
                row.household_id = household  # type: ignore[attr-defined]
        for name in users:
            self.headers[name] = await headers_for(self.runtime, accounts[name])

    def sides(self, role: str) -> tuple[tuple[Side, bool], tuple[Side, bool]]:
        """The side that is the role's own, and one that is not."""
        own = {"mate": self.shared, "client+": self.portal}.get(role, self.own)
        return (own, True), (self.foreign, False)

    async def row(self, side: Side, resource: Resource) -> UUID:
        """A fresh row; what exists once per side (the client of the portal user, the advisor) is that one."""
        async with unit_of_work(self.runtime) as work:
            if resource.table.fullname in ("wealth.advisors", "wealth.households", "wealth.clients"):
                return side.ids[resource.table.fullname]
            return await side.row(work, resource)


@pytest.fixture(scope="module")
async def world(runtime: Runtime, client: httpx.AsyncClient) -> World:
    made = World(runtime, client)
    await made.build()
    return made


def paths(resource: Resource, side: Side) -> str:
    return resource.path.format(client_id=side.ids["wealth.clients"])


CASES = [(name, role) for name, line in ACCESS.items() for role in line]


def test_every_resource_has_a_line() -> None:
    assert set(ACCESS) == set(RESOURCES)
    assert {name for name, resource in RESOURCES.items() if resource.update} == set(CHANGE)


@pytest.mark.parametrize("name", RESOURCES)
def test_who_holds_neither_claim_nor_permission_is_nobody(name: str) -> None:
    assert RESOURCES[name].policy.kind(a_principal()) == 0


def test_only_the_system_and_administrators_write_growth_scans() -> None:
    policy = RESOURCES["growth_scans"].policy
    for principal in (
        a_principal(advisor_id=uuid4()),
        replace(a_principal(), permissions=frozenset(["wealth.oversee"])),
    ):
        assert policy.kind(principal) != 0
        assert not policy.writes(policy.kind(principal))


@pytest.mark.parametrize("name", RESOURCES)
async def test_nobody_enters_without_a_token(name: str, world: World) -> None:
    path = paths(RESOURCES[name], world.own)

    for method, url in (("GET", path), ("POST", path), ("GET", f"{path}/{uuid4()}"), ("PUT", f"{path}/{uuid4()}")):
        answer = await world.client.request(method, url, json={})
        assert answer.status_code in ({401, 405} if method in ("POST", "PUT") else {401})


@pytest.mark.parametrize(("name", "role"), CASES)
async def test_reading(name: str, role: str, world: World) -> None:
    resource, allowed = RESOURCES[name], ACCESS[name][role][0]

    for side, mine in world.sides(role):
        row = await world.row(side, resource)
        path = paths(resource, side)
        shown = allowed == "all" or (allowed == "own" and mine)
        one = await world.client.get(f"{path}/{row}", headers=world.headers[role])
        history = await world.client.get(f"{path}/{row}/history", headers=world.headers[role])
        listed = await world.client.get(path, headers=world.headers[role], params={"id": str(row)})
        found = await world.client.get(path, headers=world.headers[role], params={"or": f"(id.eq.{row})"})

        counted = await world.client.get(f"{path}/aggregate", headers=world.headers[role], params={"id": str(row)})

        refused = {"refused": 403}.get(allowed, 404)
        assert one.status_code == (200 if shown else refused), one.text
        assert history.status_code == one.status_code
        if shown:
            assert one.json()["id"] == str(row)
            assert not set(HIDDEN.get((name, role), ())) & set(one.json())
        if listed.status_code == 200:
            assert [item["id"] for item in listed.json()["items"]] == ([str(row)] if shown else [])
            assert listed.json()["total"] == found.json()["total"] == (1 if shown else 0)
            assert counted.json()["items"] == [{"count": 1 if shown else 0}]
        else:
            assert listed.status_code == (403 if allowed == "refused" else 404)
            assert counted.status_code == listed.status_code


@pytest.mark.parametrize(("name", "role"), [case for case in CASES if RESOURCES[case[0]].update])
async def test_updating(name: str, role: str, world: World) -> None:
    resource, allowed = RESOURCES[name], ACCESS[name][role][2]

    for side, mine in world.sides(role):
        row = await world.row(side, resource)
        answer = await world.client.put(
            f"{paths(resource, side)}/{row}", headers=world.headers[role], json=CHANGE[name]
        )

        assert answer.status_code == _expected(allowed, mine=mine, done=200), answer.text
        if answer.status_code == 200:
            assert {key: answer.json()[key] for key in CHANGE[name]} == CHANGE[name]


async def new_body(world: World, name: str, role: str, side: Side, *, mine: bool) -> dict[str, Any]:
    """A record as this role makes it, or tries to, on a side."""
    resource = RESOURCES[name]
    body = dict(resource.example)
    async with unit_of_work(world.runtime) as work:
        for column in resource.table.columns:
            settable = column.info.get("mark") is not Mark.SYSTEM and column.name not in body
            if column.foreign_keys and settable and (not column.nullable or column.name == "client_id"):
                table = next(iter(column.foreign_keys)).column.table.fullname
                body[column.name] = str(await side.parent(work, table))
    if name == "advisors":
        body["user_id"] = str((await an_account(world.runtime, roles=("wealth_advisor",))).id)
    if mine and role in ("advisor", "mate"):
        body.pop("advisor_id", None)  # what they make is theirs
    if role in ("client", "client+") and name == "orders":
        body["basis"] = "unsolicited"
    body |= {column: uuid4().hex[:12] for column in ("code", "advisor_code", "name") if column in body}
    return body


@pytest.mark.parametrize(("name", "role"), CASES)
async def test_creating(name: str, role: str, world: World) -> None:
    resource, allowed = RESOURCES[name], ACCESS[name][role][1]

    for side, mine in world.sides(role):
        body = await new_body(world, name, role, side, mine=mine)
        answer = await world.client.post(paths(resource, side), headers=world.headers[role], json=body)

        if allowed == "own" and not mine:
            assert answer.status_code == CREATE_ELSEWHERE[name][role], answer.text
        else:
            assert answer.status_code == _expected(allowed, mine=mine, done=201), answer.text


@pytest.mark.parametrize(("name", "role"), [case for case in CASES if RESOURCES[case[0]].delete])
async def test_deleting(name: str, role: str, world: World) -> None:
    resource, allowed = RESOURCES[name], ACCESS[name][role][3]
    for side, mine in world.sides(role):
        async with unit_of_work(world.runtime) as work:
            spare = Side(world)
            spare.ids = dict(side.ids)
            if name == "advisors":
                spare.ids["core.users"] = (await an_account(world.runtime, roles=())).id
            row = await spare.row(work, resource)
        expected = _expected(allowed, mine=mine, done=204)
        path = f"{paths(resource, side)}/{row}"
        answer = await world.client.delete(path, headers=world.headers[role])

        assert answer.status_code == expected, answer.text
        if expected == 204:
            assert (await world.client.get(path, headers=world.headers["admin"])).status_code == 404


def _expected(allowed: str, *, mine: bool, done: int) -> int:
    outcomes = {
        "all": (done, done),
        "own": (done, 404),
        "own-only": (done, 403),
        "all-seen": (403, 403),
        "seen": (403, 404),
        "refused": (403, 403),
        "absent": (404, 404),
        "locked": (422, 422),
        "never": (405, 405),
    }
    return outcomes[allowed][0 if mine else 1]


@pytest.mark.parametrize(("name", "role"), LOCKED)
async def test_a_locked_field_is_refused_one_by_one(name: str, role: str, world: World) -> None:
    resource = RESOURCES[name]
    side = world.sides(role)[0][0]
    row = await world.row(side, resource)
    path = f"{paths(resource, side)}/{row}"
    before = (await world.client.get(path, headers=world.headers["admin"])).json()

    for field, value in LOCKED[name, role].items():
        answer = await world.client.put(path, headers=world.headers[role], json={field: value})
        assert (answer.status_code, answer.json()["code"]) == (422, "UNKNOWN_FIELD"), f"{field}: {answer.text}"
        assert field not in answer.json()["allowed"]

    assert (await world.client.get(path, headers=world.headers["admin"])).json() == before


@pytest.mark.parametrize(("name", "role"), WRITABLE)
async def test_what_a_role_may_write_at_all(name: str, role: str, world: World) -> None:
    resource = RESOURCES[name]
    path = f"{paths(resource, world.own)}/{await world.row(world.own, resource)}"

    answer = await world.client.put(path, headers=world.headers[role], json={"no such field": 1})

    assert answer.json()["allowed"] == list(WRITABLE[name, role])


async def test_what_a_portal_user_may_say_of_a_new_order(world: World) -> None:
    answer = await world.client.post(
        RESOURCES["orders"].path, headers=world.headers["client"], json={"no such field": 1}
    )

    more = {"client_id", "client_order_id", "draft"}
    assert set(answer.json()["allowed"]) == {*WRITABLE["orders", "client"], *more}

    own, foreign = world.own.ids["wealth.clients"], world.foreign.ids["wealth.clients"]
    path, body = RESOURCES["orders"].path, dict(RESOURCES["orders"].example)
    made = await world.client.post(path, headers=world.headers["client"], json=body)
    elsewhere = await world.client.post(path, headers=world.headers["client"], json={**body, "client_id": str(foreign)})
    assert (made.status_code, made.json()["client_id"]) == (201, str(own))
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (403, "CLIENT_MISMATCH")


@pytest.mark.parametrize(("visibility", "role"), [(one, role) for one, line in NOTES.items() for role in line])
async def test_the_visibility_of_a_note(visibility: str, role: str, world: World) -> None:
    resource = RESOURCES["notes"]
    async with unit_of_work(world.runtime) as work:
        row = await world.own.row(work, resource)
        await work.session.execute(
            update(resource.table).where(resource.table.c.id == row).values(visibility=visibility)
        )
    path, headers = f"{resource.path}/{row}", world.headers[role]

    read = await world.client.get(path, headers=headers)
    listed = await world.client.get(resource.path, headers=headers, params={"id": str(row)})
    changed = await world.client.put(path, headers=headers, json={"body": "Changed."})

    assert (read.status_code, changed.status_code) == NOTES[visibility][role]
    assert listed.json()["total"] == (1 if read.status_code == 200 else 0)


async def test_a_note_of_somebody_else_is_read_and_not_changed(world: World) -> None:
    resource = RESOURCES["notes"]
    body = {**resource.example, "client_id": str(world.own.ids["wealth.clients"])}
    made = await world.client.post(resource.path, headers=world.headers["admin"], json=body)
    path, headers = made.headers["location"], world.headers["advisor"]

    assert (await world.client.get(path, headers=headers)).status_code == 200
    assert (await world.client.put(path, headers=headers, json={"body": "x"})).status_code == 403
    assert (await world.client.delete(path, headers=headers)).status_code == 403


async def test_a_private_note_is_its_authors_alone_in_a_team(world: World) -> None:
    resource = RESOURCES["notes"]
    async with unit_of_work(world.runtime) as work:
        row = await world.shared.row(work, resource)
        await work.session.execute(
            update(resource.table).where(resource.table.c.id == row).values(visibility="private")
        )
    path = f"{resource.path}/{row}"

    assert (await world.client.get(path, headers=world.headers["sharer"])).status_code == 200
    assert (await world.client.get(path, headers=world.headers["mate"])).status_code == 404
    assert (await world.client.put(path, headers=world.headers["mate"], json={"body": "x"})).status_code == 404


async def test_an_order_of_a_clients_own_accord_is_the_clients_to_change(world: World) -> None:
    resource = RESOURCES["orders"]
    async with unit_of_work(world.runtime) as work:
        row = await world.own.row(work, resource)
        await work.session.execute(update(resource.table).where(resource.table.c.id == row).values(basis="unsolicited"))
    path, headers = f"{resource.path}/{row}", world.headers["client"]

    changed = await world.client.put(path, headers=headers, json={"notes": "At once."})
    moved = await world.client.put(path, headers=headers, json={"basis": "advised"})

    assert (changed.status_code, changed.json()["notes"]) == (200, "At once.")
    assert (moved.status_code, moved.json()["code"]) == (403, "OUT_OF_SCOPE")


@pytest.mark.parametrize(("name", "role"), HIDDEN)
async def test_a_hidden_field_does_not_exist_for_the_query_language(name: str, role: str, world: World) -> None:
    resource = RESOURCES[name]
    path = paths(resource, world.own)

    for field in HIDDEN[name, role]:
        for params in ({field: "1"}, {f"{field}__isnull": "true"}, {"order_by": field}, {"fields": field}):
            answer = await world.client.get(path, headers=world.headers[role], params=params)
            assert answer.status_code == 422, f"{params}: {answer.text}"
            assert field not in answer.json()["allowed"]
        for params in ({"group_by": field}, {"metrics": f"count({field})"}, {"having": f"(count({field}).gt.0)"}):
            answer = await world.client.get(f"{path}/aggregate", headers=world.headers[role], params=params)
            assert answer.status_code == 422, f"{params}: {answer.text}"
            assert not [name for name in answer.json()["allowed"] if name.endswith(f"({field})") or name == field]


def _keys() -> list[tuple[str, str, str]]:
    """(resource, writable foreign key, table it points to) for everything that an advisor may write."""
    return [
        (name, column.name, next(iter(column.foreign_keys)).column.table.fullname)
        for name, resource in RESOURCES.items()
        if ACCESS[name]["advisor"][2].startswith("own")
        for column in resource.table.columns
        if column.foreign_keys and column.info.get("mark") is None
    ]


SCOPED = ("wealth.clients", "wealth.households")


@pytest.mark.parametrize(("name", "key", "table"), [one for one in _keys() if one[2] in SCOPED])
async def test_a_foreign_key_never_reaches_another_advisors_row(name: str, key: str, table: str, world: World) -> None:
    resource = RESOURCES[name]
    foreign = str(world.foreign.ids[table])
    row = await world.row(world.own, resource)
    path, headers = paths(resource, world.own), world.headers["advisor"]

    if key not in resource.path:
        changed = await world.client.put(f"{path}/{row}", headers=headers, json={key: foreign})
        assert changed.status_code == 422, changed.text
        body = {**resource.example, "client_id": str(world.own.ids["wealth.clients"]), key: foreign}
        kept = {name: value for name, value in body.items() if name in resource.fields}
        made = await world.client.post(path, headers=headers, json=kept)
        assert made.status_code == 422, made.text
    else:
        elsewhere = await world.client.post(
            paths(resource, world.foreign), headers=headers, json=dict(resource.example)
        )
        assert elsewhere.status_code == 404, elsewhere.text

    after = (await world.client.get(f"{path}/{row}", headers=world.headers["admin"])).json()
    assert after[key] != foreign


@pytest.mark.parametrize(("name", "role"), CASES)
async def test_exporting(name: str, role: str, world: World) -> None:
    resource, allowed = RESOURCES[name], ACCESS[name][role][0]

    for side, mine in world.sides(role):
        row = await world.row(side, resource)
        path, headers = f"{paths(resource, side)}/export", world.headers[role]
        shown = allowed == "all" or (allowed == "own" and mine)
        answer = await world.client.get(path, headers=headers, params={"id": str(row), "format": "ndjson"})
        queued = await world.client.post(path, headers=headers, params={"id": str(row)})

        if allowed in ("refused", "absent") or (answer.status_code == 404 and not shown):
            refused = {403 if allowed == "refused" else 404}
            assert {answer.status_code, queued.status_code} == refused, answer.text
            continue
        assert (answer.status_code, queued.status_code) == (200, 202), answer.text
        await world.client.post(f"{queued.headers['location']}/cancel", headers=headers)
        records = [msgspec.json.decode(line) for line in answer.content.splitlines()]
        assert [record["id"] for record in records] == ([str(row)] if shown else [])
        for record in records:
            assert not set(HIDDEN.get((name, role), ())) & set(record)


@pytest.mark.parametrize(("name", "role"), CASES)
async def test_importing_needs_what_creating_needs(name: str, role: str, world: World) -> None:
    resource, allowed = RESOURCES[name], ACCESS[name][role][1]
    content = msgspec.json.encode(dict(resource.example))

    answer = await world.client.post(
        f"{paths(resource, world.sides(role)[0][0])}/import",
        headers={**world.headers[role], "Content-Type": "application/x-ndjson"},
        params={"dry_run": "true"},
        content=content,
    )

    assert answer.status_code == {"refused": 403, "absent": 404, "never": 405}.get(allowed, 200), answer.text


@pytest.mark.parametrize(("name", "key", "table"), [one for one in _keys() if one[2] in SCOPED])
async def test_an_imported_foreign_key_never_reaches_another_advisors_row(
    name: str, key: str, table: str, world: World
) -> None:
    resource = RESOURCES[name]
    row = {**resource.example, "client_id": world.own.ids["wealth.clients"], key: world.foreign.ids[table]}
    body = {field: value for field, value in row.items() if field in resource.fields and field not in resource.path}

    answer = await world.client.post(
        f"{paths(resource, world.foreign if key in resource.path else world.own)}/import",
        headers={**world.headers["advisor"], "Content-Type": "application/x-ndjson"},
        params={"dry_run": "true"},
        content=msgspec.json.encode(body),
    )

    if key in resource.path:
        assert answer.status_code == 404, answer.text
    else:
        assert answer.json()["rows"] | {"checked": 1} == {
            "total": 1, "checked": 1, "would_create": 0, "would_update": 0, "unchanged": 0, "failed": 1,
        }, answer.text  # fmt: skip
        assert [error["column"] for error in answer.json()["errors"]] == [key]
