"""State machines as tables: which step leads from which states to which, and who may take it."""

from dataclasses import dataclass

from atrium.core.access import Principal
from atrium.core.errors import InvalidTransition


@dataclass(frozen=True, slots=True)
class Step:
    action: str
    origins: tuple[str, ...]
    to: str
    permission: str


@dataclass(frozen=True, slots=True)
class StateTable:
    noun: str
    steps: tuple[Step, ...]

    def step(self, action: str) -> Step:
        return next(step for step in self.steps if step.action == action)

    def actions(self, status: str, principal: Principal) -> list[str]:
        """What the caller can do in this status."""
        return [step.action for step in self.steps if status in step.origins and principal.may(step.permission)]

    def next(self, status: str, action: str, principal: Principal) -> Step | None:
        """The step to take; None when it was taken already. Raises InvalidTransition."""
        step = self.step(action)
        if status in step.origins:
            return step
        if status == step.to:
            return None
        raise InvalidTransition(
            f"{self.noun} that is {status.replace('_', ' ')} cannot take the step {action}.",
            origin=status,
            to=step.to,
            allowed=self.actions(status, principal),
        )
