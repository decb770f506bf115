"""The rules of single columns as domains: `wealth.clients.status` is of the domain `wealth.clients_status`.

PostgreSQL reads every CHECK of a table anew in each statement that writes to it: the twenty of wealth.clients took 100
of the 350 us of an update (`python -m tests.benchmarks.domains` compares the two). A domain's are read once per
connection and looked at only for what is assigned. A rule over several columns stays a CHECK of the table.

SQLAlchemy keeps seeing the base type: it casts parameters to it, and PostgreSQL answers with it. A parameter of
hand-written SQL that is assigned to such a column and used once more needs its cast (`$3::text`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Table, event
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateColumn
from sqlalchemy.types import TypeEngine

from atrium.core.db.columns import Rule, rules

DOMAIN = "domain"


@dataclass(frozen=True, slots=True)
class Domain:
    schema: str
    name: str
    base: TypeEngine[Any]
    rules: tuple[Rule, ...]

    @property
    def fullname(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def drop(self) -> str:
        return f"DROP DOMAIN IF EXISTS {self.fullname}"

    def constraint(self, rule: Rule) -> str:
        return f"ck_{self.name}{rule.suffix}"

    @property
    def sql(self) -> str:
        base = self.base.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
        checks = " ".join(f"CONSTRAINT {self.constraint(rule)} CHECK ({rule.sql})" for rule in self.rules)
        return f"CREATE DOMAIN {self.fullname} AS {base} {checks}"


def declare(table: Table) -> None:
    """Gives each column with rules its domain, made before the table and dropped after it."""
    for column in table.columns:
        if found := rules(column.info):
            column.info[DOMAIN] = Domain(str(table.schema), f"{table.name}_{column.name}", column.type, tuple(found))
    event.listen(table, "before_create", _create)
    event.listen(table, "after_drop", _drop)


def domain_of(column: Column[Any]) -> Domain | None:
    found: Domain | None = column.info.get(DOMAIN)
    return found


def domains(tables: Iterable[Table]) -> list[Domain]:
    return [found for table in tables for column in table.columns if (found := domain_of(column))]


def _create(table: Table, connection: Connection, **_options: Any) -> None:
    for domain in domains([table]):
        connection.exec_driver_sql(domain.sql)


def _drop(table: Table, connection: Connection, **_options: Any) -> None:
    for domain in domains([table]):
        connection.exec_driver_sql(domain.drop)


@compiles(CreateColumn, "postgresql")
def _column(element: CreateColumn, compiler: Any, **options: Any) -> str:
    sql: str = compiler.visit_create_column(element, **options)
    domain = domain_of(element.element)
    if domain is None:
        return sql
    base = compiler.dialect.type_compiler_instance.process(element.element.type)
    return sql.replace(f" {base}", f" {domain.fullname}", 1)
