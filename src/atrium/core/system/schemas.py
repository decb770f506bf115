"""What the system routes answer, for the OpenAPI document and typed clients."""

from typing import Literal

import msgspec

Condition = Literal["healthy", "unhealthy"]


class Endpoints(msgspec.Struct):
    health: str
    api_docs: str
    websocket: str


class Welcome(msgspec.Struct):
    message: str
    version: str
    status: str
    endpoints: Endpoints


class Hello(msgspec.Struct):
    message: str


class Health(msgspec.Struct):
    status: Condition
    database: Literal["connected", "disconnected"]


class Services(msgspec.Struct):
    database: Condition
    redis: Condition
    worker: Condition


class Jobs(msgspec.Struct):
    queued: int
    active: int
    scheduled: int


class HealthDetails(msgspec.Struct, omit_defaults=True):
    status: Literal["healthy", "degraded", "unhealthy"]
    database: Literal["connected", "disconnected"]
    services: Services
    version: str
    timestamp: str
    jobs: dict[str, Jobs] | None = None


class Readiness(msgspec.Struct):
    status: Literal["alive", "ready", "draining", "unavailable"]


class MonitorTicket(msgspec.Struct):
    url: str
    expires_in: int
