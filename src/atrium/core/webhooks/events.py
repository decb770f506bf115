"""The names of events: which there are, what a webhook may ask for, and what a change is called.

    wealth.clients.created   wealth.orders.submit   wealth.clients.*   wealth.*   *

An event is `<module>.<table>.<what happened>`: created, updated, deleted, restored, or the verb by which a record that
was there before and is there still was changed. There are events of every table that a resource shows and the change
log knows.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from atrium.core.errors import FieldError, Invalid
from atrium.core.resources.resource import Resource
from atrium.core.runtime import Runtime

TEST = "core.webhooks.test"
MOST = 50
PLAIN = {"create": "created", "update": "updated", "delete": "deleted", "restore": "restored"}
VERB = re.compile(r"[a-z][a-z0-9_]{0,62}")
ENDINGS = (*PLAIN.values(), "<verb>", "*")

Known = Mapping[str, Resource]
"""The tables that have events, with the resource whose readers are told of them."""


def known_to(runtime: Runtime) -> Known:
    found: Known | None = runtime.parts.get("webhook events")
    if found is None:
        resources = (one for module in runtime.parts["modules"] for one in module.resources)
        found = runtime.parts["webhook events"] = {one.table.fullname: one for one in resources if one.model.audited}
    return found


def check(patterns: Sequence[str], known: Iterable[str]) -> list[str]:
    """The same without repetitions; raises Invalid that says what is allowed."""
    tables = sorted(known)
    allowed = ["*", *sorted({f"{table.partition('.')[0]}.*" for table in tables})]
    allowed += [f"{table}.{{{'|'.join(ENDINGS)}}}" for table in tables]
    errors = [
        FieldError(("body", "events", place), wrong)
        for place, pattern in enumerate(patterns)
        if (wrong := _misfit(pattern, tables))
    ]
    if not 0 < len(patterns) <= MOST:
        errors.append(FieldError(("body", "events"), f"must name 1 to {MOST} events"))
    if errors:
        text = "; ".join(f"events: {error.msg}" for error in errors)
        raise Invalid(f"{text}.", errors=errors, allowed=allowed)
    return list(dict.fromkeys(patterns))


def _misfit(pattern: str, tables: list[str]) -> str:
    if pattern == "*":
        return ""
    module, _, rest = pattern.partition(".")
    if rest == "*":
        modules = sorted({table.partition(".")[0] for table in tables})
        return "" if module in modules else f"{pattern} names no module: there are {', '.join(modules)}"
    table, _, ending = pattern.rpartition(".")
    if table not in tables:
        near = get_close_matches(table, tables, 3, 0.5)
        return f"{pattern} names no table that has events" + (f": did you mean {' or '.join(near)}" if near else "")
    if ending in PLAIN:
        return f"{pattern} never happens: it is called {table}.{PLAIN[ending]}"
    return "" if ending == "*" or VERB.fullmatch(ending) else f"{pattern} must end in one of {', '.join(ENDINGS)}"


def module_of(patterns: Iterable[str]) -> str:
    """The module whose events are asked for; `core` for those of several."""
    modules = {pattern.partition(".")[0] for pattern in patterns}
    return modules.pop() if len(modules) == 1 and "*" not in modules else "core"


def is_wanted(event: str, patterns: Iterable[str]) -> bool:
    module, table, _ = event.split(".", 2)
    ways = {"*", f"{module}.*", f"{module}.{table}.*", event}
    return any(pattern in ways for pattern in patterns)


def name_of(entity_type: str, action: str) -> str:
    return f"{entity_type}.{PLAIN.get(action, action)}"
