"""What one subscription sees: the rows and fields of a resource under a filter, for the caller of the moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atrium.core.access import CALLER, Principal
from atrium.core.errors import UnknownParameter
from atrium.core.query.build import bind_values
from atrium.core.query.conditions import Budget
from atrium.core.query.parse import parameters, selection
from atrium.core.resources.relations import Sight
from atrium.core.resources.resource import Resource
from atrium.core.subscriptions.evaluation import Evaluation, evaluation

KNOWN = ("search", "q", "match", "or", "and")
LONGEST_FILTER = 4000
EVALUATIONS_KEPT = 512
_EVALUATIONS: dict[Any, Evaluation] = {}


@dataclass(frozen=True, slots=True)
class View:
    """`group` is equal for all that one statement can serve; `values` is where they differ."""

    resource: Resource
    principal: Principal
    group: tuple[Any, ...]
    values: tuple[Any, ...]
    evaluation: Evaluation
    shared: Mapping[str, Any]
    visible: frozenset[str]

    def shows_the_same(self, other: "View") -> bool:
        return self.group == other.group and self.values == other.values


def view(resource: Resource, query_string: str, principal: Principal) -> View:
    """Raises what the REST list would for this filter and this caller."""
    principal.require(resource.read)
    given = parameters(query_string)
    sight = Sight(resource, principal)
    if included := next((name for name in given if name.startswith("include.")), None):
        raise UnknownParameter(f"{included} is not a parameter here.", allowed=sight.words.parameters(KNOWN))
    budget = Budget()
    rows = selection(given, sight.words, budget, KNOWN)
    seen = sight.seen
    shape = (resource, sight.kind, rows, tuple(sight.used), sight.standing())
    found = _EVALUATIONS.get(shape)
    if found is None:
        found = evaluation(seen, rows)
        while len(_EVALUATIONS) >= EVALUATIONS_KEPT:
            del _EVALUATIONS[next(iter(_EVALUATIONS))]
        _EVALUATIONS[shape] = found
    values = bind_values(rows.where, tuple(budget.values))
    own = {name: principal.id_of(name.removeprefix(CALLER)) for name in found.varying if name.startswith(CALLER)}
    values = {**values, **own}
    shared = {name: values[name] for name in found.fixed}
    return View(
        resource,
        principal,
        (*shape, tuple(tuple(one) for one in shared.values())),
        tuple(values[name] for name in found.varying),
        found,
        shared,
        frozenset(one.name for one in seen.guarded.visible(sight.kind)),
    )
