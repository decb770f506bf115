"""One attempt at one task: claim the row, run the declared job beside a heartbeat, and write how it ended.

What ends an attempt, and what follows:

- the job returns: succeeded, with its result
- the job raises an expected failure (AtriumError below 500): failed at once, its sentence is the reason
- anything else, or its time is up: queued again after a pause, failed when the attempts are used up
- somebody cancels: cancelled
- the worker stops: the job gets a moment to finish, then the row is queued again without counting the attempt
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import structlog

from atrium.core.errors import AtriumError, NotFound, RateLimited
from atrium.core.jobs import pulse, rows
from atrium.core.jobs.models import CANCELLED, FAILED, SUCCEEDED
from atrium.core.jobs.queue import Task, TaskCancelled, TaskLost, tell
from atrium.core.jobs.registry import JOBS, Job
from atrium.core.jobs.requesters import requester
from atrium.core.runtime import Runtime
from atrium.core.services import Caller

log = structlog.get_logger()
GRACE_SECONDS = 5.0
WATCH_SECONDS = 1.0
LONGEST_PAUSE = 600.0
WRITE_ATTEMPTS = 5
Write = Callable[[], Awaitable[rows.Row | None]]


async def attempt(runtime: Runtime, task_id: UUID) -> None:
    """Run this task if it is still to be run; nothing is raised but cancellation of the worker."""
    row = await rows.claim(runtime, task_id)
    if row is None:
        log.info("task_not_claimed", task_id=str(task_id))
        return
    await _run(runtime, row)


async def attempt_due(runtime: Runtime, queue: str) -> None:
    """Run the tasks of this queue one after the other, each time the one whose turn it is, until none is due.

    Not just one for each message: what a message costs is more than what a small job does.
    """
    while (row := await rows.claim_next(runtime, queue)) is not None:
        await _run(runtime, row)


async def _run(runtime: Runtime, row: rows.Row) -> None:
    tracing = runtime.tracing
    span = tracing.job(row["job"], row["id"], row["attempts"], row["traceparent"] or "") if tracing else nullcontext()
    with span, structlog.contextvars.bound_contextvars(task_id=str(row["id"]), job=row["job"], attempt=row["attempts"]):
        await _Attempt(runtime, row).run()


async def watch(runtime: Runtime) -> None:
    """Stop what runs in this process and was cancelled."""
    running = _running(runtime)
    if not running:
        return
    for row in await rows.to_be_stopped(runtime, list(running)):
        found = running.get(row["id"])
        if found is not None and found.task.attempt == row["attempts"]:
            found.stop_soon()


async def keep_watching(runtime: Runtime) -> None:
    """Every second, whatever a look runs into; the heartbeat of each task would see it later."""
    while True:
        try:
            await watch(runtime)
        except Exception as error:  # noqa: BLE001  the next look is the remedy
            log.warning("watch_failed", error=repr(error))
        await asyncio.sleep(WATCH_SECONDS)


def _running(runtime: Runtime) -> "dict[UUID, _Attempt]":
    """What runs in this process, by task."""
    running: dict[UUID, _Attempt] = runtime.parts.setdefault("jobs.running", {})
    return running


class _Attempt:
    def __init__(self, runtime: Runtime, row: rows.Row) -> None:
        self.runtime, self.row = runtime, row
        self.task = Task(runtime, row, None)
        self.declared = JOBS.get(row["job"])
        self.working: asyncio.Task[None] | None = None

    async def run(self) -> None:
        await tell(self.runtime, self.row)
        working = self.working = asyncio.create_task(self._work(), name=f"job {self.row['job']}")
        beating = asyncio.create_task(self._beat(working), name="heartbeat")
        running = _running(self.runtime)
        running[self.task.id] = self
        try:
            await asyncio.shield(working)
        except asyncio.CancelledError:
            if not working.done() or working.cancelled():
                await self._interrupted(working)
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
        finally:
            if running.get(self.task.id) is self:
                del running[self.task.id]
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating

    def stop_soon(self) -> None:
        """Somebody cancelled it: it may look and end by itself for a moment, then it is interrupted."""
        if self.working is not None and not self.task.cancelled():
            self.task.mark_cancelled()
            asyncio.get_running_loop().call_later(GRACE_SECONDS, self.working.cancel)

    async def _interrupted(self, working: "asyncio.Task[None]") -> None:
        """Cancelled by a user, taken away, or the worker is stopping."""
        held = await self._written(partial(rows.beat, self.runtime, self.task.id, self.task.attempt))
        if held is not None:
            if held["stage"] == rows.CANCELLING:
                self.task.mark_cancelled()
            await asyncio.wait({working}, timeout=GRACE_SECONDS)
        working.cancel()
        await asyncio.wait({working}, timeout=GRACE_SECONDS)
        if held is None:
            log.warning("task_lost")
        elif held["stage"] == rows.CANCELLING:
            await self._finish(CANCELLED)
        else:
            await self._close(partial(rows.release, self.runtime, self.task.id, self.task.attempt))

    async def _work(self) -> None:
        """The job itself, and the row that says how it ended."""
        limit = asyncio.timeout(None)
        try:
            self.task.act_for(await self._caller())
            params = msgspec.json.decode(self.row["params"])
            limit = asyncio.timeout(self._job().timeout)
            async with limit:
                result = await self._job().run(self.task, **params)
        except TaskCancelled:
            await self._finish(CANCELLED)
        except TaskLost:
            log.warning("task_lost")
        except AtriumError as error:
            if error.status < 500 and not isinstance(error, RateLimited):
                await self._finish(FAILED, code=error.instance_code, detail=error.detail)
            else:
                log.warning("task_failed", code=error.instance_code, detail=error.detail)
                await self._again(error.instance_code, error.detail)
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                log.warning("task_timed_out")
                await self._again("TIMEOUT", f"It took longer than the {self._job().timeout:g} seconds it may take.")
                return
            log.exception("task_failed")
            await self._again("INTERNAL", "It stopped on an unexpected error, which has been recorded.")
        else:
            await self._finish(CANCELLED if self.task.cancelled() else SUCCEEDED, result=result)

    def _job(self) -> Job:
        if self.declared is None:
            raise NotFound(f"There is no job called {self.row['job']}.", code="UNKNOWN_JOB")
        return self.declared

    async def _caller(self) -> Caller | None:
        """Read anew for each attempt: a task must not keep roles that its requester has lost."""
        user_id = self.task.requested_by
        return None if user_id is None else Caller(await requester(self.runtime, user_id), str(self.task.id))

    async def _beat(self, working: "asyncio.Task[None]") -> None:
        while True:
            await asyncio.sleep(self.runtime.settings.task_heartbeat_seconds)
            try:
                held = await rows.beat(self.runtime, self.task.id, self.task.attempt)
                if held is not None and held["stage"] != rows.CANCELLING:
                    self.task.act_for(await self._caller())
                    continue
            except Exception as error:  # noqa: BLE001  PostgreSQL may come back before the row counts as stale
                log.warning("heartbeat_failed", error=repr(error))
                continue
            if held is not None:
                self.stop_soon()
                continue
            working.cancel()
            return

    async def _finish(
        self, status: str, *, result: Any = None, code: str | None = None, detail: str | None = None
    ) -> None:
        if self.runtime.tracing is not None and code is not None:
            self.runtime.tracing.failed(code)
        given = result if result is None or isinstance(result, dict) else {"value": result}
        mine = (self.runtime, self.task.id, self.task.attempt)
        await self._close(partial(rows.finish, *mine, status, result=given, code=code, detail=detail))
        try:
            await pulse.count(self.runtime, self.row["kind"], status)
        except Exception as error:  # noqa: BLE001  a number in a chart
            log.info("task_not_counted", error=repr(error))

    async def _again(self, code: str, detail: str) -> None:
        """Once more after a pause, or failed for good."""
        tried, most = self.task.attempt, self.row["max_attempts"]
        if tried >= most:
            await self._finish(FAILED, code=code, detail=f"{detail} It was tried {tried} times.")
            return
        pause = min(LONGEST_PAUSE, self._job().retry_after * 2 ** (tried - 1)) * random.uniform(0.8, 1.2)  # noqa: S311
        if self.runtime.tracing is not None:
            self.runtime.tracing.failed(code)
        mine = (self.runtime, self.task.id, self.task.attempt)
        await self._close(partial(rows.again, *mine, pause, code=code, detail=f"{detail} It will be tried again."))

    async def _close(self, write: Write) -> None:
        row = await self._written(write)
        if row is not None:
            await tell(self.runtime, row)

    async def _written(self, write: Write) -> rows.Row | None:
        """The outcome is worth a little patience with PostgreSQL; after that the row goes stale and is rescued."""
        for tried in range(1, WRITE_ATTEMPTS + 1):
            try:
                return await write()
            except Exception as error:
                if tried == WRITE_ATTEMPTS:
                    raise
                log.warning("task_row_not_written", error=repr(error))
                await asyncio.sleep(0.2 * 2**tried)
        raise AssertionError
