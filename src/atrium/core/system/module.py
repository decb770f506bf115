"""The system's own routes, without tables."""

from atrium.core.http.metrics import publishing
from atrium.core.modules import Module
from atrium.core.system.controllers.documentation import DocumentationController
from atrium.core.system.controllers.health import HealthController
from atrium.core.system.controllers.monitor import MonitorController, TicketController

module = Module(
    "system",
    title="System",
    controllers=(HealthController, DocumentationController, MonitorController, TicketController),
    on_startup=(publishing,),
)
