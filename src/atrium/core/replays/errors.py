"""What a repeated key can be refused for."""

from typing import Any

from atrium.core.errors import Conflict


class IdempotencyKeyReused(Conflict):
    """The Key Belongs To Another Request"""

    default_detail = "This Idempotency-Key was used for another body: use a new key for a new request."


class RequestStillRunning(Conflict):
    """The First Request Still Runs"""

    default_detail = "The first request with this Idempotency-Key still runs. Ask again shortly."

    def __init__(self, detail: str = "", *, retry_after: int = 1, **more: Any) -> None:
        super().__init__(detail, **{"headers": {"Retry-After": str(retry_after)}, **more})


class AnswerNotKept(Conflict):
    """The Answer Was Not Kept"""

    default_detail = (
        "The request with this Idempotency-Key was carried out; its answer was too large to be kept, or was lost."
    )
