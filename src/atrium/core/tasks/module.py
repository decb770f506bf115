"""What background tasks show to the application."""

from atrium.core.jobs.models import BackgroundTask, Schedule
from atrium.core.jobs.queue import queues
from atrium.core.modules import Module
from atrium.core.tasks.admin import AdminTaskController
from atrium.core.tasks.controllers import BackgroundTaskController
from atrium.core.tasks.maintenance import prune_replays, prune_tasks
from atrium.core.tasks.schedules import ScheduleController

module = Module(
    "core",
    "Background tasks",
    controllers=(BackgroundTaskController, AdminTaskController, ScheduleController),
    jobs=(prune_tasks, prune_replays),
    models=(BackgroundTask, Schedule),
    on_startup=(queues,),
)
