"""What imports cannot show, read off the models and the manifests."""

from collections import Counter

import pytest
from sqlalchemy import Table, UniqueConstraint
from sqlalchemy.orm import Mapper

from atrium.app import MODULES
from atrium.core.access import ADMIN, policy_of
from atrium.core.db.columns import Mark
from atrium.core.db.entity import Row
from atrium.core.db.routines import routines
from atrium.core.db.wire import fields_of
from atrium.core.jobs.registry import JOBS
from atrium.core.resources.resource import Resource

RESOURCES: list[Resource] = [resource for module in MODULES for resource in module.resources]
# Tests declare tables of their own, in a metadata of their own.
MAPPERS: list[Mapper[Row]] = sorted(
    (one for one in Row.registry.mappers if getattr(one.local_table, "metadata", None) is Row.metadata), key=str
)
TABLES: list[Table] = [mapper.local_table for mapper in MAPPERS if isinstance(mapper.local_table, Table)]
PREFIXES = {"core": ("core",), "wealth": ("core", "wealth")}


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_a_foreign_key_stays_in_its_module_or_points_to_core(table: Table) -> None:
    for key in table.foreign_keys:
        assert key.column.table.schema in PREFIXES[str(table.schema)], key


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_every_foreign_key_has_an_index_except_those_of_actors(table: Table) -> None:
    leading = {next(iter(index.columns)).name for index in table.indexes if len(index.columns)}
    unique = (one for one in table.constraints if isinstance(one, UniqueConstraint))
    leading |= {next(iter(one.columns)).name for one in unique}
    leading |= {column.name for column in table.columns if column.unique or column.primary_key}
    for key in table.foreign_keys:
        name = key.parent.name
        assert name in leading or name.endswith(("_by", "_by_id")) or "author" in name, f"{table}.{name} has no index"


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_every_constraint_and_index_has_a_name_that_postgresql_does_not_cut(table: Table) -> None:
    for one in [*table.constraints, *table.indexes]:
        name = str(getattr(one, "name", None) or "")
        assert 0 < len(name) <= 63, one


@pytest.mark.parametrize("mapper", MAPPERS, ids=str)
def test_no_relationship_loads_by_itself(mapper: Mapper[Row]) -> None:
    assert all(relation.lazy in ("raise", "noload") for relation in mapper.relationships)


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: one.name)
def test_a_resource_has_a_policy_permissions_and_an_example(resource: Resource) -> None:
    assert policy_of(resource.model) is resource.policy
    assert resource.read
    assert resource.tag
    assert resource.example or not resource.create


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: one.name)
def test_the_columns_of_a_resource_are_all_known_to_the_wire(resource: Resource) -> None:
    private = [column.name for column in resource.table.columns if column.info.get("mark") is Mark.PRIVATE]

    assert not set(private) & set(fields_of(resource.model))


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: one.name)
def test_no_table_with_a_deferred_constraint_trigger_is_a_plain_resource(resource: Resource) -> None:
    deferred = {one.table for one in routines() if one.table and "DEFERRABLE" in one.sql.upper()}

    assert not deferred & {resource.table.name} or not (resource.create or resource.update)


def test_every_granted_permission_is_declared_and_prefixed_with_its_module() -> None:
    for module in MODULES:
        declared = module.all_permissions()
        assert all(code.startswith(f"{module.name}.") for code in declared), module.name
        for role in module.roles:
            assert set(role.grants) <= set(declared), role.code


def test_roles_are_declared_once() -> None:
    codes = Counter(role.code for module in MODULES for role in module.roles)

    assert codes[ADMIN] == 1
    assert all(count == 1 for count in codes.values()), codes


def test_jobs_are_named_after_their_module_and_belong_to_a_manifest() -> None:
    declared = {job.name for module in MODULES for job in module.jobs}

    assert set(JOBS) == declared
    assert all(job.name.startswith(f"{module.name}.") for module in MODULES for job in module.jobs)


def test_operation_ids_and_paths_are_unique() -> None:
    from atrium.app import create_app
    from atrium.core.config import Settings

    document = create_app(Settings(environment="test")).openapi_schema.to_schema()
    operations = [
        one["operationId"] for item in document["paths"].values() for one in item.values() if isinstance(one, dict)
    ]

    assert len(operations) > 50
    assert [name for name, count in Counter(operations).items() if count > 1] == []
