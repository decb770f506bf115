from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import BigInteger, Column, Date, DateTime, Integer, MetaData, Numeric, String, Table, Text, Uuid

from atrium.core.db.wire import field_of
from atrium.core.errors import AtriumError, Invalid, UnknownParameter
from atrium.core.query import build
from atrium.core.query.ast import Condition, Group, Order, Query
from atrium.core.query.cursors import signature, write_cursor
from atrium.core.query.parse import parse
from atrium.core.query.vocabulary import MAX_CONDITIONS, Vocabulary
from atrium.core.statements.compiled import compile_statement

TABLE = Table(
    "things",
    MetaData(),
    Column("id", Uuid(), primary_key=True),
    Column("name", String(50), nullable=False),
    Column("kind", Text(), info={"choices": ("a", "b")}),
    Column("amount", Numeric(20, 4)),
    Column("rank", Integer()),
    Column("big", BigInteger()),
    Column("born_on", Date()),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("secret", Text()),
)
FIELDS = {column.name: field_of(column) for column in TABLE.columns}
OPEN = frozenset(FIELDS) - {"secret"}
WORDS = Vocabulary(
    fields={name: FIELDS[name] for name in OPEN},
    filters=OPEN,
    sorts=frozenset({"id", "name", "amount", "created_at"}),
    default_order=(Order("created_at", True), Order("id", True)),
    searchable=True,
)


def ask(text: str) -> Query:
    return parse(text, WORDS)


def condition(text: str) -> tuple[str, str, Any]:
    query = ask(text)
    found = query.shape.where.children[0]
    assert isinstance(found, Condition)
    return found.column, found.operator, query.values[found.value] if found.value >= 0 else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name=x", ("name", "eq", "x")),
        ("name=x&name=y", ("name", "in", ["x", "y"])),
        ("name__in=x,y", ("name", "in", ["x", "y"])),
        ("name__nin=x", ("name", "nin", ["x"])),
        ("name__ne=x", ("name", "ne", "x")),
        ("name__eq=x", ("name", "eq", "x")),
        ("kind__startswith=b", ("kind", "startswith", "b")),
        ("created_at__nin=2026-01-31", ("created_at", "nin", [datetime(2026, 1, 31, tzinfo=UTC)])),
        ("amount__isnull=0", ("amount", "notnull", None)),
        ("name__icontains=50%25", ("name", "icontains", "50%")),
        ("kind=a", ("kind", "eq", "a")),
        ("amount__gte=1.5", ("amount", "gte", Decimal("1.5"))),
        ("amount_gte=1.5", ("amount", "gte", Decimal("1.5"))),
        ("rank__lt=-3", ("rank", "lt", -3)),
        ("born_on_from=2026-01-31", ("born_on", "gte", date(2026, 1, 31))),
        ("created_at__gt=2026-01-31T10:00:00Z", ("created_at", "gt", datetime(2026, 1, 31, 10, tzinfo=UTC))),
        ("created_at_to=2026-01-31", ("created_at", "lte", datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC))),
        ("created_before=2026-01-31", ("created_at", "lt", datetime(2026, 1, 31, tzinfo=UTC))),
        ("amount__isnull=true", ("amount", "isnull", None)),
        ("amount__isnull=false", ("amount", "notnull", None)),
        (
            "id=0198c0de-0000-7000-8000-00000000c0de",
            ("id", "eq", UUID("0198c0de-0000-7000-8000-00000000c0de")),
        ),
    ],
)
def test_a_filter_is_a_column_an_operator_and_a_typed_value(text: str, expected: tuple[str, str, Any]) -> None:
    assert condition(text) == expected


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("colour=red", "colour"),
        ("secret=x", "secret"),
        ("secret__startswith=x", "secret"),
        ("name__like=x", "name__like"),
        ("amount__contains=5", "amount__contains"),
        ("order_by=shoe_size", "shoe_size"),
        ("order_by=secret", "secret"),
        ("sort=name:sideways", "name:sideways"),
        ("fields=id,hat", "hat"),
        ("fields=secret", "secret"),
        ("or=(hat.eq.1)", "hat"),
        ("or=(name.like.1)", "name.like.1"),
        ("or=(secret.eq.1)", "secret"),
        ("include=friends", "friends"),
        ("friends.name=x", "friends.name"),
        ("or=(friends.name.eq.x)", "friends"),
        ("include.friends.limit=1", "friends"),
        ("match=x", "match"),
        ("order_by=relevance", "relevance"),
        ("group_by=name", "group_by"),
    ],
)
def test_what_is_unknown_or_hidden_is_named_with_what_is_allowed(text: str, named: str) -> None:
    with pytest.raises(UnknownParameter) as caught:
        ask(text)

    assert named in caught.value.detail
    assert caught.value.members["allowed"]
    assert "secret" not in caught.value.members["allowed"]


@pytest.mark.parametrize(
    "text",
    [
        "kind=c",
        "amount=NaN",
        "amount=Infinity",
        "amount=1e400",
        "amount=1.00005",
        "rank=3000000000",
        "rank=x",
        "big=99999999999999999999",
        "born_on=soon",
        "created_at=yesterday",
        "id=7",
        "name=a%00b",
        "amount__between=1",
        "amount__isnull=maybe",
        "page=0",
        "page=x",
        "limit=0",
        "limit=101",
        "limit=x",
        "name__in=" + "x," * 500,
        "name=x" + "&name=x" * 500,
        "offset=100001",
        "limit=0000000000011000",
        "page=100000",
        "page=2147483647&limit=100",
        "offset=-1",
        "count=roughly",
        "cursor=nonsense",
        "or=name.eq.x",
        "or=(name.eq.x",
        "or=()",
        "or=(or(or(or(or(or(name.eq.x))))))",
    ],
)
def test_a_value_that_cannot_be_used_is_invalid_and_says_where(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        ask(text)

    assert caught.value.status == 422
    assert caught.value.detail


def test_the_number_of_conditions_is_bounded() -> None:
    many = ",".join(f"name.eq.{number}" for number in range(MAX_CONDITIONS + 1))

    with pytest.raises(AtriumError, match="at most"):
        ask(f"or=({many})")


def test_conditions_without_a_value_count_as_well() -> None:
    many = ",".join(["name.isnull.true"] * (MAX_CONDITIONS + 1))

    with pytest.raises(AtriumError, match="at most"):
        ask(f"or=({many})")


def test_what_is_read_again_is_the_same_shape() -> None:
    """Statements are kept by it."""
    for text in ("name=x&or=(rank.gt.1,and(big.lt.2,kind.isnull.true))&q=a b&order_by=-amount&fields=id", "limit=50"):
        assert ask(text).shape == ask(text).shape
        assert len({ask(text).shape, ask(text).shape}) == 1


def test_a_limit_stands_in_the_statement_only_where_a_plan_for_it_can_be_kept() -> None:
    assert [ask(text).shape.limit for text in ("", "limit=50", "order_by=-name&count=none")] == [20, 50, 20]
    for text in ("limit=37", "page=2", "name=x", "q=x", "or=(kind.isnull.true)"):
        assert ask(text).shape.limit == 0


def test_the_total_is_counted_estimated_or_left_out() -> None:
    asked = [ask(text).shape for text in ("", "count=exact", "count=estimated", "count=NONE")]

    assert [(shape.total, shape.estimated) for shape in asked] == [(True, False)] * 2 + [(True, True), (False, False)]


def test_groups_nest_and_quote() -> None:
    query = ask('or=(name.eq."x,y",and(amount.gt.1,kind.in.(a,b)))')

    group = query.shape.where.children[0]
    assert isinstance(group, Group)
    assert group.joiner == "or"
    assert query.values == ("x,y", Decimal(1), ["a", "b"])


def test_an_order_ends_with_the_id_in_its_last_direction() -> None:
    assert ask("order_by=-amount,name").shape.order == (Order("amount", True), Order("name", False), Order("id", False))
    assert ask("sort=name:desc").shape.order == (Order("name", True), Order("id", True))


def test_the_shape_does_not_depend_on_values() -> None:
    assert ask("name=x&limit=5").shape == ask("name=y&limit=50&page=3").shape
    assert ask("name__in=x,y").shape == ask("name__in=a,b,c").shape


def test_a_cursor_belongs_to_its_filter_and_order() -> None:
    query = ask("name=x&order_by=-created_at")
    last = [datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), UUID(int=7)]
    cursor = write_cursor(signature(query), last)

    assert ask(f"name=x&order_by=-created_at&cursor={cursor}").after == tuple(last)
    for other in ("name=y&order_by=-created_at", "name=x&order_by=created_at", "name=x&order_by=name"):
        with pytest.raises(Invalid, match="another filter or order"):
            ask(f"{other}&cursor={cursor}")


def sql(text: str) -> str:
    query = ask(text)
    columns = dict(TABLE.c)
    from sqlalchemy import select

    statement = select(TABLE.c.id).where(build.where(query.shape.where, columns))
    return compile_statement(statement.order_by(*build.order_by(query.shape.order, columns))).sql


def test_nulls_last_stands_only_where_a_column_can_be_null() -> None:
    assert "NULLS LAST" in sql("order_by=amount")
    assert "NULLS LAST" not in sql("order_by=name,-created_at")


def test_a_list_of_values_is_one_parameter() -> None:
    assert "= ANY ($1::VARCHAR[])" in sql("name__in=x,y,z").replace("TEXT", "VARCHAR")
