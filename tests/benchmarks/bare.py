"""What one Python process can do at most: no framework, one statement per request, PostgreSQL makes the JSON."""

import os
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import parse_qs
from uuid import UUID

import asyncpg
import jwt
import msgspec

SECRET = os.environ["SECRET_KEY"]
CLIENT, ORDER = os.environ["CLIENT_COLUMNS"], os.environ["ORDER_COLUMNS"]
OWN = "advisor_id = $1 AND deleted_at IS NULL"
MATCHING = f"{OWN} AND ($2::text IS NULL OR risk_profile = $2)"
LIST = f"""
    SELECT (SELECT count(*) FROM bench.clients WHERE {MATCHING}), coalesce(json_agg(row), '[]')::text
    FROM (SELECT {CLIENT} FROM bench.clients WHERE {MATCHING} ORDER BY created_at DESC, id DESC LIMIT $3 OFFSET $4) row
"""
WITH_ORDERS = f"""
    SELECT (SELECT count(*) FROM bench.clients WHERE {MATCHING}), coalesce(json_agg(row), '[]')::text
    FROM (SELECT {CLIENT}, (
            SELECT coalesce(json_agg(line), '[]') FROM (
                SELECT {ORDER} FROM bench.orders WHERE client_id = page.id ORDER BY created_at DESC, id DESC LIMIT 20
            ) line) AS orders
        FROM (
            SELECT * FROM bench.clients WHERE {MATCHING} ORDER BY created_at DESC, id DESC LIMIT $3 OFFSET $4) page
    ) row
"""
GET = f"SELECT row_to_json(row)::text FROM (SELECT {CLIENT} FROM bench.clients WHERE id = $2 AND {OWN}) row"
UPDATE = f"""
    WITH row AS (
        UPDATE bench.clients SET version = version + 1, updated_at = now(), {{changes}}
        WHERE id = $2 AND {OWN} RETURNING {CLIENT})
    SELECT row_to_json(row)::text FROM row
"""
CREATE = f"""
    WITH row AS (
        INSERT INTO bench.orders (id, client_id, advisor_id, symbol, quantity, order_type, placed_by)
        SELECT gen_random_uuid(), id, advisor_id, $3, $4, $5, $6 FROM bench.clients WHERE id = $2 AND {OWN}
        RETURNING {ORDER})
    SELECT row_to_json(row)::text FROM row
"""
RISK_PROFILES = (None, "conservative", "moderately_conservative", "moderate", "moderately_aggressive", "aggressive")


class ClientUpdate(msgspec.Struct, forbid_unknown_fields=True):
    phone: str | msgspec.UnsetType | None = msgspec.UNSET
    city: str | msgspec.UnsetType | None = msgspec.UNSET
    net_worth: Decimal | msgspec.UnsetType | None = msgspec.UNSET


class NewOrder(msgspec.Struct, forbid_unknown_fields=True):
    client_id: UUID
    symbol: str
    quantity: Decimal
    order_type: Literal["market", "limit", "stop", "stop_limit"] = "market"


read_update, read_order = msgspec.json.Decoder(ClientUpdate).decode, msgspec.json.Decoder(NewOrder).decode
state: dict[str, Any] = {}


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await live(receive, send)
        return
    status, body = await answer(scope, receive)
    kind = b"application/json" if status < 400 else b"application/problem+json"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def live(receive: Any, send: Any) -> None:
    await receive()
    # asyncpg's own reset is a second round trip per statement; nothing here changes a session.
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=24, max_size=24, reset=keep) as state["pool"]:
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def keep(_connection: Any) -> None: ...


async def answer(scope: Any, receive: Any) -> tuple[int, bytes]:
    method, path = scope["method"], scope["path"]
    if path == "/health/ready":
        return 200, b"{}"
    header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    try:
        caller = jwt.decode(header.removeprefix(b"Bearer ").decode(), SECRET, algorithms=["HS256"])
        advisor = UUID(caller["advisor_id"])
        if (method, path) == ("GET", "/api/v1/clients"):
            return await list_clients(advisor, scope["query_string"].decode())
        if (method, path) == ("POST", "/api/v1/orders"):
            new = read_order(await body_of(receive))
            order = (new.client_id, new.symbol, new.quantity, new.order_type, UUID(caller["sub"]))
            return found(await state["pool"].fetchval(CREATE, advisor, *order), 201)
        client = UUID(path.removeprefix("/api/v1/clients/"))
        if method == "GET":
            return found(await state["pool"].fetchval(GET, advisor, client))
        update = msgspec.structs.asdict(read_update(await body_of(receive)))
        values = {name: value for name, value in update.items() if value is not msgspec.UNSET}
        changes = ", ".join(f"{name} = ${number}" for number, name in enumerate(values, 3))
        return found(await state["pool"].fetchval(UPDATE.format(changes=changes), advisor, client, *values.values()))
    except (jwt.InvalidTokenError, KeyError):
        return 401, b'{"status": 401, "title": "A valid token is needed."}'
    except (msgspec.MsgspecError, ValueError):
        return 422, b'{"status": 422, "title": "The request cannot be understood."}'


async def list_clients(advisor: UUID, query: str) -> tuple[int, bytes]:
    asked = {name: values[-1] for name, values in parse_qs(query).items()}
    page, limit, risk = int(asked.pop("page", 1)), int(asked.pop("limit", 20)), asked.pop("risk_profile", None)
    sql = WITH_ORDERS if asked.pop("include", None) == "orders" else LIST
    if asked or page < 1 or not 1 <= limit <= 100 or risk not in RISK_PROFILES:
        raise ValueError(query)
    # Not fetchrow, whose row limit forbids PostgreSQL to count in parallel.
    ((total, items),) = await state["pool"].fetch(sql, advisor, risk, limit, (page - 1) * limit)
    pages = -(-total // limit)
    return 200, f'{{"items":{items},"total":{total},"page":{page},"limit":{limit},"pages":{pages}}}'.encode()


def found(row: str | None, status: int = 200) -> tuple[int, bytes]:
    return (status, row.encode()) if row else (404, b'{"status": 404, "title": "There is no such client."}')


async def body_of(receive: Any) -> bytes:
    message = await receive()
    body = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return bytes(body)
