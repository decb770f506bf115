"""What can be queued: `@job("wealth.growth_scan", kind="growth_scan")` on an async function `(task, **params)`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

JOBS: dict[str, "Job"] = {}


@dataclass(frozen=True, slots=True)
class Job:
    """A declared job. It must be idempotent: it may run again after a worker died in the middle.

    `retry_after` is the pause in seconds before the second attempt; it doubles with each further one.
    """

    name: str
    kind: str
    run: Callable[..., Awaitable[Any]]
    queue: str = "default"
    timeout: float = 600
    max_attempts: int = 3
    retry_after: float = 5

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
) -> Callable[[Callable[..., Awaitable[Any]]], Job]:
    def declare(run: Callable[..., Awaitable[Any]]) -> Job:
        if name in JOBS:
            raise ValueError(f"job {name} is declared twice")
        JOBS[name] = Job(name, kind, run, queue, timeout, max_attempts, retry_after)
        return JOBS[name]

    return declare
