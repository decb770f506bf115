"""If-Match on the verbs that CRUD cannot say."""

import httpx
from tests.wealth.factories import a_client, an_advisor, an_order

from atrium.core.runtime import Runtime


async def test_a_step_on_another_version_than_the_caller_saw_is_not_taken(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    advisor, other = await an_advisor(runtime), await an_advisor(runtime)
    order = await an_order(runtime, advisor, await a_client(runtime, advisor))
    path = f"/api/v1/orders/{order}"
    await client.put(path, headers=advisor.headers, json={"notes": "By phone."})

    stale = await client.post(f"{path}/cancel", headers={**advisor.headers, "If-Match": '"1"'}, json={})
    foreign = await client.post(f"{path}/cancel", headers={**other.headers, "If-Match": '"1"'}, json={})
    between = await client.get(path, headers=advisor.headers)
    taken = await client.post(f"{path}/cancel", headers={**advisor.headers, "If-Match": '"2"'}, json={})

    assert (stale.status_code, stale.json()["changed"]) == (412, ["notes"]), stale.text
    assert (foreign.status_code, between.json()["status"]) == (404, "pending")
    assert (taken.status_code, taken.json()["status"], taken.headers["etag"]) == (200, "cancelled", '"3"')
