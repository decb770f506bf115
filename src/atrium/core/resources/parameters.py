"""What lists, records and aggregates of a resource take in their query strings, as the OpenAPI document says it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from atrium.core.access import EVERYTHING
from atrium.core.query.aggregates import DEFAULT_GROUPS, UNITS
from atrium.core.query.vocabulary import MAX_GROUPS, OPERATORS, Vocabulary
from atrium.core.resources.openapi import WHOLE, Groups, json_content, on_the_wire, reference
from atrium.core.resources.relations import resolve
from atrium.core.resources.resource import Resource

TEXT = {"type": "string"}
DELETED = "What was deleted instead, for those who may restore it"
LIST = {"type": "string", "enum": ["exact", "estimated", "none"]}


def list_parameters(resource: Resource) -> list[dict[str, Any]]:
    sorts = ", ".join(sorted({"id", *resource.sorts}))
    return [
        _query("page", {**WHOLE, "default": 1}, "Page, from 1"),
        _query("limit", {**WHOLE, "maximum": resource.max_limit, "default": 20}, "Rows per page"),
        _query("cursor", TEXT, "next_cursor of the page before; costs the same at any depth"),
        _query("order_by", TEXT, f"Comma-separated, - for descending: {sorts}", example=resource.sort),
        _query("count", LIST, "Whether to count all matching rows; estimated: exact up to a thousand, then a guess"),
        *([_query("deleted", {"type": "boolean"}, DELETED)] if resource.restores else ()),
        *record_parameters(resource),
        *_conditions(resource),
    ]


def record_parameters(resource: Resource) -> list[dict[str, Any]]:
    found = [_query("fields", TEXT, "Only these fields, comma-separated")]
    if resource.relations:
        names = ", ".join(sorted(resource.relations))
        first = next(iter(resource.relations))
        text = (
            f"Related records inside each, comma-separated: {names}. Options of one are parameters with its name, "
            f"such as include.{first}.fields; relations to many also take filters, order_by and limit"
        )
        found.append(_query("include", TEXT, text, example=first))
    return found


def aggregate_parameters(resource: Resource) -> list[dict[str, Any]]:
    words = resource.vocabulary(EVERYTHING)
    figures = "count, count(x), count(distinct x), sum(x), avg(x), min(x), max(x); comma-separated"
    limit = {**WHOLE, "maximum": MAX_GROUPS, "default": DEFAULT_GROUPS}
    keys = ", ".join(sorted(words.filters | words.sorts))
    return [
        _query("group_by", TEXT, f"Comma-separated, through relations to one as well: {keys}", example=_key(words)),
        _query("metrics", {**TEXT, "default": "count"}, figures, example="count"),
        _query("having", TEXT, "A group of conditions on metrics, such as (count.gte.2,sum(x).gt.100)"),
        _query("bucket", TEXT, f"A time cut to {', '.join(UNITS)}", example="month(created_at)"),
        _query("tz", {**TEXT, "default": "UTC"}, "The time zone in which days and months begin"),
        _query("order_by", TEXT, "Metrics and keys, comma-separated, - for descending", example="-count"),
        _query("limit", limit, "Groups"),
        *_conditions(resource),
    ]


def aggregate_answer(resource: Resource) -> dict[str, Any]:
    words = resource.vocabulary(EVERYTHING)
    key = _key(words)
    choices = words.fields[key].column.info.get("choices")
    text = "One object per group: its keys, and its metrics as count, sum_x, avg_x, min_x, max_x, count_distinct_x"
    described = json_content(text, reference(Groups.__name__))
    described["content"]["application/json"]["example"] = {
        "items": [{key: choices[0] if choices else None, "count": 3, "month_created_at": "2026-01-01"}]
    }
    return {"200": described}


def _key(words: Vocabulary) -> str:
    """A column that people would group by: one with choices."""
    names = sorted(words.filters)
    return next((name for name in names if words.fields[name].column.info.get("choices")), names[0])


def _conditions(resource: Resource) -> list[dict[str, Any]]:
    words = resource.vocabulary(EVERYTHING)
    found = [_query("or", TEXT, "A group of conditions such as (a.eq.1,b.gt.2)")]
    if words.searchable:
        found.append(_query("q", TEXT, "Rows in which every word occurs"))
    if words.matchable:
        text = 'Full text as in a web search: words, "phrases", or, -without; order_by=-relevance puts the best first'
        found.append(_query("match", TEXT, text))
    operators = "Also with " + ", ".join(f"__{name}" for name in OPERATORS) + "; repeated: any of"
    for name in resource.filters:
        schema = on_the_wire(msgspec.json.schema(resource.fields[name].kind), "number")
        found.append(_query(name, schema, operators))
    found += [_query(name, TEXT, "A named filter") for name in resource.presets]
    for name in resource.relations:
        target = resolve(resource, name).target
        text = f"Rows for which a related one fulfils it: any filter of {target.name.replace('_', ' ')} in place of id"
        found.append(_query(f"{name}.id", TEXT, text))
    return found


def _query(name: str, schema: Mapping[str, Any], text: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": dict(schema), "description": text, **more}
