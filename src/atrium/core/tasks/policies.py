"""A task is its requester's; oversight of a module sees the module's tasks, administrators see all."""

from atrium.core.access import clause, held_by, protect
from atrium.core.jobs.models import BackgroundTask

protect(
    BackgroundTask,
    held_by(BackgroundTask.requested_by, "user_id")
    | clause(permission="wealth.oversee", rows=BackgroundTask.module == "wealth", writes=False),
)
