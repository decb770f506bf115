"""What background tasks show to the application."""

from atrium.core.jobs.models import BackgroundTask
from atrium.core.jobs.queue import queues
from atrium.core.modules import Module
from atrium.core.tasks.controllers import BackgroundTaskController

module = Module(
    "core",
    "Background tasks",
    controllers=(BackgroundTaskController,),
    models=(BackgroundTask,),
    on_startup=(queues,),
)
