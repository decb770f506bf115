"""Work with rules: one unit of work per request or job, and Advanced-Alchemy services that see only the caller's rows.

    async def cancel(work: Work) -> bytes:
        order = await OrderService(work).cancel(order_id, reason)
        return await orders.render(work, order.id)
    body = await transact(runtime, caller, cancel, action="cancel", reason=reason)

Nobody commits inside the work; `transact` does, and only then runs what `after_commit` collected (queue, sockets).
A failing COMMIT is the caller's error, never a success. Serialisation failures and deadlocks are retried a few times.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

import asyncpg
import msgspec
import structlog
from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from advanced_alchemy.service import SQLAlchemyAsyncRepositoryService
from sqlalchemy import bindparam, func, select, text, true
from sqlalchemy.ext.asyncio import AsyncSession

from atrium.core.access import CALLER, Policy, Principal, policy_of
from atrium.core.db.entity import Entity
from atrium.core.errors import AtriumError, Forbidden, NotFound
from atrium.core.runtime import Runtime
from atrium.core.statements.retries import retried

log = structlog.get_logger()
ModelT = TypeVar("ModelT", bound=Entity)
Result = TypeVar("Result")
CLAIM: ContextVar[UUID | None] = ContextVar("claim", default=None)
"""The claim on an Idempotency-Key under which this request runs (core.replays)."""
DONE = "UPDATE core.idempotency_keys SET response_status = 0 WHERE id = $1 AND response_status IS NULL"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who does it, and in which request: what the change log remembers."""

    principal: Principal
    request_id: str = ""
    ip: str | None = None

    def actor(self, action: str | None = None, reason: str | None = None) -> str:
        """The transaction-local JSON that the change-log triggers read."""
        return actor(self.principal.user_id, self.principal.role, self.request_id, self.ip, action, reason)


def actor(
    user_id: UUID | None,
    role: str | None = None,
    request_id: str = "",
    ip: str | None = None,
    action: str | None = None,
    reason: str | None = None,
) -> str:
    known = {"user": user_id, "role": role, "request": request_id or None, "ip": ip, "action": action, "reason": reason}
    return msgspec.json.encode({key: value for key, value in known.items() if value is not None}).decode()


@dataclass(slots=True)
class Work:
    """One transaction and what is to happen once it is committed."""

    runtime: Runtime
    session: AsyncSession
    caller: Caller | None
    _after: list[Callable[[], Awaitable[Any]]] = field(default_factory=list)

    @property
    def principal(self) -> Principal:
        if self.caller is None:
            raise LookupError("this work has no caller")
        return self.caller.principal

    def after_commit(self, act: Callable[[], Awaitable[Any]]) -> None:
        """Something that may only be seen once the transaction is: a queue message, a socket frame."""
        self._after.append(act)

    async def connection(self) -> "asyncpg.Connection[Any]":
        """Asyncpg's own connection inside this transaction, for compiled statements."""
        raw = await (await self.session.connection()).get_raw_connection()
        return raw.driver_connection  # type: ignore[return-value]

    async def act_as(self, setting: str) -> None:
        """Name the actor of what follows in this transaction."""
        await self.session.execute(select(func.set_config("atrium.actor", bindparam("actor", setting), text("true"))))

    async def settle(self) -> None:
        """Run what waited for the commit. A failure there is logged: the rows are the promise, sweepers keep it."""
        for act in self._after:
            try:
                await act()
            except Exception as error:  # noqa: BLE001  the transaction is done, nothing may undo its answer
                log.warning("after_commit_failed", error=repr(error))


@asynccontextmanager
async def unit_of_work(
    runtime: Runtime, caller: Caller | None = None, *, action: str | None = None, reason: str | None = None
) -> AsyncIterator[Work]:
    """One transaction: committed at the end, rolled back on any error, followed by what waited for it."""
    async with runtime.database.sessions() as session:
        work = Work(runtime, session, caller)
        async with session.begin():
            await work.act_as(caller.actor(action, reason) if caller else actor(None, action=action, reason=reason))
            yield work
            if CLAIM.get() is not None:
                await mark_done(await work.connection())
    await work.settle()


async def mark_done(connection: Any) -> None:
    """Say in the transaction itself that the request was carried out: killed before it answers, it is not repeated."""
    await connection.execute(DONE, CLAIM.get())


async def transact(
    runtime: Runtime,
    caller: Caller | None,
    run: Callable[[Work], Awaitable[Result]],
    *,
    action: str | None = None,
    reason: str | None = None,
) -> Result:
    """A unit of work that is repeated when PostgreSQL asks for it; `run` must not act outside its transaction."""

    async def attempt() -> Result:
        async with unit_of_work(runtime, caller, action=action, reason=reason) as work:
            return await run(work)

    return await retried(attempt)


class Service(SQLAlchemyAsyncRepositoryService[ModelT, Any], Generic[ModelT]):
    """An Advanced-Alchemy service whose rows are those that the caller's policy opens.

    class OrderService(Service[Order], model=Order): ...
    """

    model: ClassVar[type[Entity]]

    def __init_subclass__(cls, *, model: type[Entity] | None = None, **options: Any) -> None:
        if model is not None:
            cls.model = model
            name = f"{model.__name__}Repository"
            cls.repository_type = type(name, (SQLAlchemyAsyncRepository,), {"model_type": model})
        super().__init_subclass__(**options)

    def __init__(self, work: Work) -> None:
        super().__init__(session=work.session)
        self.work = work

    async def get_writable(self, row_id: UUID) -> ModelT:
        """The row, locked, if the caller may write it; what the caller may not even see is NotFound."""
        policy = policy_of(self.model)
        rows = policy.written(policy.kind(self.work.principal))
        statement = select(self.model).where(self.model.id == row_id).with_for_update(of=self.model.__table__)
        if rows is not None:
            statement = statement.where(rows)
        if "deleted_at" in self.model.__table__.c:
            statement = statement.where(self.model.__table__.c.deleted_at.is_(None))
        found = await self.work.session.scalar(statement, caller_values(statement, self.work.principal))
        if found is None:
            raise await self._refusal(row_id, policy)
        return found  # type: ignore[return-value]

    async def _refusal(self, row_id: UUID, policy: Policy) -> AtriumError:
        rows = policy.rows(policy.kind(self.work.principal))
        statement = select(self.model.id).where(self.model.id == row_id, true() if rows is None else rows)
        seen = await self.work.session.scalar(statement, caller_values(statement, self.work.principal))
        return NotFound() if seen is None else Forbidden("You may read this record but not change it.")


def caller_values(statement: Any, principal: Principal) -> dict[str, Any]:
    """The caller's ids for the parameters that a policy put into a statement."""
    names = statement.compile().params
    return {name: principal.id_of(name.removeprefix(CALLER)) for name in names if name.startswith(CALLER)}
