"""A table as one caller sees it, and what its relations lead to."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Table, literal_column, select

from atrium.core.query import build
from atrium.core.query.ast import RELEVANCE, Order, Selection, Through
from atrium.core.statements.table import Guarded


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """Rows of `target` whose column `there` equals the column `here` of a row."""

    here: str
    there: str
    target: "Seen"


def leads_nowhere(relation: str) -> Link:
    raise LookupError(relation)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The rows and fields that a policy kind opens; `search` and `fulltext` are the texts that words are sought in."""

    guarded: Guarded
    kind: int
    search: ColumnElement[str] | None = None
    fulltext: ColumnElement[str] | None = None
    follow: Callable[[str], Link] = leads_nowhere

    @property
    def table(self) -> Table:
        return self.guarded.table

    def matching(self, asked: Selection, within: Sequence[str] = ()) -> list[ColumnElement[bool]]:
        """The caller's rows that are asked for."""
        columns = dict(self.table.c)
        found = [*self.guarded.readable(self.kind), *self.guarded.within(within)]
        found.append(build.where(asked.where, columns, self._some))
        if asked.search and self.search is not None:
            found.append(build.search(self.search, asked.search))
        if asked.match >= 0 and self.fulltext is not None:
            found.append(build.match(self.fulltext, asked.match))
        return found

    def order_by(self, order: tuple[Order, ...], asked: Selection) -> list[ColumnElement[Any]]:
        columns: dict[str, Any] = dict(self.table.c)
        if asked.match >= 0 and self.fulltext is not None:
            columns.setdefault(RELEVANCE, build.relevance(self.fulltext, asked.match))
        return build.order_by(order, columns)

    def _some(self, asked: Through) -> ColumnElement[bool]:
        """EXISTS over the rows of the relation that the caller sees.

        The conditions stand in a sub-select of the related table alone, so that a policy that reads the same table, or
        a relation from a table to itself, means the right one; PostgreSQL makes one semi-join of it.
        """
        link = self.follow(asked.relation)
        target = link.target
        rows = select(target.table.c[link.there]).where(*target.matching(Selection(asked.where))).subquery()
        joined = rows.c[link.there] == self.table.c[link.here]
        return select(literal_column("1")).select_from(rows).where(joined).correlate(self.table).exists()

    def related(self, link: Link, asked: Selection, source: FromClause, columns: Iterable[str]) -> Any:
        """These columns of the caller's rows behind one row of the source."""
        target = link.target
        joined = target.table.c[link.there] == source.c[link.here]
        chosen = [target.table.c[name] for name in dict.fromkeys(columns)]
        return select(*chosen).where(joined, *target.matching(asked)).correlate(source)
