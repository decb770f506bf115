"""What can be queued: `@job("wealth.growth_scan", kind="growth_scan")` on an async function `(task, **params)`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from atrium.core.jobs.models import NORMAL

JOBS: dict[str, "Job"] = {}


@dataclass(frozen=True, slots=True)
class Job:
    """A declared job. It must be idempotent: it may run again after a worker died in the middle.

    `retry_after` is the pause in seconds before the second attempt; it doubles with each further one. `priority` is
    that of its tasks unless `enqueue` says otherwise: HIGH, NORMAL or LOW.
    """

    name: str
    kind: str
    run: Callable[..., Awaitable[Any]]
    queue: str = "default"
    timeout: float = 600
    max_attempts: int = 3
    retry_after: float = 5
    priority: int = NORMAL

    @property
    def module(self) -> str:
        return self.name.partition(".")[0]


def job(
    name: str,
    *,
    kind: str,
    queue: str = "default",
    timeout: float = 600,
    max_attempts: int = 3,
    retry_after: float = 5,
    priority: int = NORMAL,
) -> Callable[[Callable[..., Awaitable[Any]]], Job]:
    def declare(run: Callable[..., Awaitable[Any]]) -> Job:
        if name in JOBS:
            raise ValueError(f"job {name} is declared twice")
        JOBS[name] = Job(name, kind, run, queue, timeout, max_attempts, retry_after, priority)
        return JOBS[name]

    return declare
