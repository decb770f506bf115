"""What is done periodically, declared beside the job that does it:

    @scheduled("core.prune_tasks", cron="17 3 * * *", timezone="UTC", missed="once")
    @job("core.prune_tasks", kind="maintenance")
    async def prune_tasks(task: Task) -> dict[str, int]: ...

`missed` says what becomes of moments that no worker was there for, after an outage or a pause of all workers:

- once: one task, for the last of them
- skip: none; only a moment that is less than a minute old is taken
- each: a task for every one of them, the hundred last at most; the job gets its moment as parameter `moment`
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from atrium.core import clock
from atrium.core.jobs.registry import Job

Missed = Literal["once", "skip", "each"]
MOST_AT_ONCE = 100
ON_TIME = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Plan:
    """A declared schedule. Its moments are those of its time zone's clock, daylight saving included."""

    name: str
    job: Job
    cron: str
    timezone: str = "UTC"
    missed: Missed = "once"

    def after(self, moment: datetime) -> datetime:
        """The next due moment."""
        return next(CronSim(self.cron, moment.astimezone(ZoneInfo(self.timezone)))).astimezone(UTC)

    def to_run(self, first: datetime, now: datetime) -> list[datetime]:
        """For which of the moments from `first` to now a task is to be made, the earliest first."""
        begin = (now + timedelta(microseconds=1)).astimezone(ZoneInfo(self.timezone))  # the walk leaves its begin out
        backwards = (moment.astimezone(UTC) for moment in CronSim(self.cron, begin, reverse=True))
        due = islice(takewhile(lambda moment: moment >= first, backwards), MOST_AT_ONCE if self.missed == "each" else 1)
        chosen = sorted(due) or [first]  # time zones change their rules: what the row says is due all the same
        return [moment for moment in chosen if self.missed != "skip" or now - moment < ON_TIME]

    def params(self, moment: datetime) -> dict[str, Any]:
        return {"moment": clock.stamp(moment)} if self.missed == "each" else {}


SCHEDULES: dict[str, Plan] = {}


def scheduled(name: str, *, cron: str, timezone: str = "UTC", missed: Missed = "once") -> Callable[[Job], Job]:
    def declare(job: Job) -> Job:
        if name in SCHEDULES:
            raise ValueError(f"schedule {name} is declared twice")
        plan = Plan(name, job, cron, timezone, missed)
        try:
            plan.after(clock.now())
        except (CronSimError, StopIteration, ZoneInfoNotFoundError) as error:
            raise ValueError(f"schedule {name} never runs: {error}") from None
        SCHEDULES[name] = plan
        return job

    return declare
