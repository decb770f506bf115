"""A server that does not do the whole job is not measured."""

from decimal import Decimal
from typing import Any

import msgspec

from .load import LIST, OPERATIONS
from .servers import Server

MATCHING, SHOWN = 200, 20
decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


def columns_of(atrium: Server) -> dict[str, str]:
    """The fields that Atrium answers, so that the others answer the same ones."""
    client = ask(atrium, "list")["items"][0]
    return {"CLIENT_COLUMNS": ",".join(client), "ORDER_COLUMNS": ",".join(ask(atrium, "create_order", client["id"]))}


def ask(server: Server, name: str, client: str = "", number: int = 0) -> dict[str, Any]:
    answer = send(server, name, client, number)
    if answer.is_error:
        raise SystemExit(f"{server.name} answers {answer.status_code} to {name}: {answer.text[:500]}")
    return decode(answer.content)


def send(server: Server, name: str, client: str = "", number: int = 0) -> Any:
    method, path, body = OPERATIONS[name]
    filled = body.replace("{id}", client).replace("{n}", str(number))
    return server.call(method, path.replace("{id}", client), filled)


def find_faults(server: Server, atrium: Server, stranger: str) -> list[str]:
    """What it does otherwise than it should, as a list of facts; fills in the clients that the load is spread over."""
    page, model = ask(server, "list"), ask(atrium, "list")
    pages = [decode(server.call("GET", LIST.replace("page=1", f"page={number}")).content) for number in range(1, 6)]
    server.clients = [str(item["id"]) for each in pages for item in each["items"]]
    first, second, *_ = server.clients
    before, after = ask(server, "get", first), ask(server, "update", first, 7)
    order = ask(server, "create_order", second)
    facts = {
        "lists another number": (page["total"], len(page["items"])) == (MATCHING, SHOWN),
        "lists other clients": [item["id"] for item in page["items"]] == [item["id"] for item in model["items"]],
        "does not filter": all(item["risk_profile"] == "aggressive" for item in page["items"]),
        "repeats clients on later pages": len(set(server.clients)) == SHOWN * len(pages),
        "answers other fields": before.keys() == model["items"][0].keys() == page["items"][0].keys(),
        "does not count versions": after["version"] == before["version"] + 1,
        "answers an update with something else": (after["city"], Decimal(after["net_worth"]))
        == ("City 7", Decimal("1007.25")),
        "forgets an update": ask(server, "get", first)["city"] == "City 7",
        "answers an order with something else": (order["client_id"], order["symbol"]) == (second, "AAPL"),
        "lets a forged token in": server.call("GET", LIST, token=server.token[:-6] + "AAAAAA").status_code == 401,
        "lets nobody in": server.call("GET", LIST, token="").status_code == 401,
        "shows another book": send(server, "get", stranger).status_code == 404,
        "writes into another book": send(server, "update", stranger).status_code == 404,
        "takes an order for another book": send(server, "create_order", stranger).status_code in (404, 422),
    }
    return [fault for fault, well in facts.items() if not well]
