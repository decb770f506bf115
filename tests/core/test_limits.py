"""Limits of how often, how long and how deep, through a door of the tests' own behind the real edge."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar, Request, get, post
from litestar.config.cors import CORSConfig
from tests.core.factories import an_account, headers_for
from tests.core.servers import free_port

from atrium.core import clock, limits
from atrium.core.access import Principal
from atrium.core.config import Settings
from atrium.core.errors import DependencyDown, RateLimited, Unauthenticated
from atrium.core.http import edge
from atrium.core.http.problems import HANDLERS
from atrium.core.http.requests import Request as JsonRequest
from atrium.core.limits.leases import BLOCKS
from atrium.core.runtime import Runtime

Door = Callable[..., Any]
ORIGIN = "http://localhost:5173"
NOON = 1_800_000_000.0


class Words:
    """Takes every word for the token of a user of its own, except `bad`."""

    def __init__(self) -> None:
        self.known: dict[str, Principal] = {}

    def authenticate(self, token: str) -> Principal:
        if token == "bad":
            raise Unauthenticated
        if token.startswith("untold"):
            raise DependencyDown
        return self.known.setdefault(token, Principal(clock.new_id(), "user", frozenset()))


WORDS = Words()


@get("/things")
async def things() -> dict[str, str]:
    return {"a": "thing"}


@post("/things")
async def keep(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return {"kept": await request.json()}


@get(["/health/live", "/api/health", "/metrics", "/docs/x", "/redoc", "/openapi.json"])
async def exempt() -> str:
    return "here"


class Process:
    """What one process serves, and how it is asked."""

    def __init__(self, runtime: Runtime, client: httpx.AsyncClient) -> None:
        self.runtime, self.client = runtime, client

    async def ask(self, who: str = "", path: str = "/things", **headers: str) -> httpx.Response:
        given = {"Authorization": f"Bearer {who}"} if who else {}
        return await self.client.get(path, headers={**given, **headers})

    async def until_refused(self, who: str = "", most: int = 500) -> int:
        """How many requests pass before the first refusal."""
        for passed in range(most):
            if (await self.ask(who)).status_code == 429:
                return passed
        return most


@asynccontextmanager
async def serving(settings: Settings, address: str) -> AsyncIterator[Process]:
    app = Litestar(
        [things, keep, exempt],
        exception_handlers=HANDLERS,
        request_class=JsonRequest,
        request_max_body_size=settings.max_body_bytes,
        cors_config=CORSConfig(allow_origins=[ORIGIN], expose_headers=["RateLimit-Limit"]),
        logging_config=None,
    )
    installed = edge.install(app, settings)
    async with Runtime.open(settings) as runtime:
        runtime.authenticator = WORDS
        app.state.runtime = runtime
        await installed.start(app)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield Process(runtime, client)
        await installed.stop()


@pytest.fixture
async def door(settings: Settings) -> AsyncIterator[Door]:
    """Starts a process; those of one test share their limits, as those of one installation do."""
    prefix = f"{settings.redis_prefix}:{clock.new_id()}"
    async with AsyncExitStack() as stack:

        async def start(address: str = "192.0.2.1", **over: Any) -> Process:
            changed = msgspec.structs.replace(settings, **{"redis_prefix": prefix, "database_pool_size": 2, **over})
            return await stack.enter_async_context(serving(changed, address))

        yield start


@pytest.fixture(autouse=True)
def _same_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test runs across the end of a minute."""
    monkeypatch.setattr("atrium.core.http.limits.time", lambda: NOON)


@pytest.fixture
def word() -> str:
    return f"user-{time.time_ns()}"


def left(answer: httpx.Response) -> int:
    return int(answer.headers["ratelimit-remaining"])


async def test_a_user_has_so_many_requests_a_minute(door: Door, word: str) -> None:
    process = await door(general_rate_per_minute=20)

    assert await process.until_refused(word) == 20
    refused = await process.ask(word)
    other = await process.ask(f"{word}-other")

    assert (refused.status_code, refused.json()["code"]) == (429, "RATE_LIMITED")
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["request_id"] == refused.headers["x-request-id"]
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["retry-after"] == refused.headers["ratelimit-reset"]
    assert (left(refused), left(other)) == (0, 19)
    assert process.runtime.parts["limits"].refused == {"general": 2}


async def test_every_answer_tells_what_is_left(door: Door, word: str) -> None:
    process = await door(general_rate_per_minute=300, anonymous_rate_per_minute=60)

    answers = [await process.ask(word), await process.ask(word, "/nothing"), await process.ask("", "/things")]

    assert [answer.headers["ratelimit-limit"] for answer in answers] == ["300", "300", "60"]
    assert [left(answer) for answer in answers] == [299, 298, 59]
    assert all(1 <= int(answer.headers["ratelimit-reset"]) <= 60 for answer in answers)


async def test_the_next_minute_begins_anew(door: Door, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    process = await door(general_rate_per_minute=3)
    assert await process.until_refused(word) == 3
    wait = int((await process.ask(word)).headers["retry-after"])

    monkeypatch.setattr("atrium.core.http.limits.time", lambda: NOON + wait)

    assert await process.until_refused(word) == 3


async def test_strangers_are_counted_by_address(door: Door) -> None:
    one = await door("192.0.2.1", anonymous_rate_per_minute=5)
    other = await door("192.0.2.2", anonymous_rate_per_minute=5)

    assert await one.until_refused() == 5
    assert await other.until_refused() == 5
    assert (await one.ask("bad")).status_code == 429, "a token that is not good is none"
    assert (await one.ask("", Authorization="Basic YTpi")).status_code == 429


async def test_a_login_does_not_suffer_from_strangers_at_its_address(door: Door, word: str) -> None:
    process = await door(anonymous_rate_per_minute=2, general_rate_per_minute=10)
    assert await process.until_refused() == 2

    assert (await process.ask(word)).status_code == 200


async def test_while_nobody_knows_whose_token_it_is_each_token_has_its_limit(door: Door) -> None:
    process = await door(anonymous_rate_per_minute=2, general_rate_per_minute=5)

    assert [await process.until_refused(token) for token in ("untold-1", "untold-2")] == [5, 5]


async def test_an_ipv6_network_is_one_address(door: Door) -> None:
    one = await door("2001:db8:1:2::1", anonymous_rate_per_minute=4)
    near = await door("2001:db8:1:2:ffff::1", anonymous_rate_per_minute=4)
    far = await door("2001:db8:1:3::1", anonymous_rate_per_minute=4)

    assert await one.until_refused() == 4
    assert await near.until_refused() <= 1
    assert await far.until_refused() == 4


@pytest.mark.parametrize("path", ["/health/live", "/api/health", "/metrics", "/docs/x", "/redoc", "/openapi.json"])
async def test_probes_and_documents_are_not_limited(door: Door, path: str) -> None:
    process = await door(anonymous_rate_per_minute=1)
    assert await process.until_refused() == 1

    answer = await process.ask("", path)

    assert answer.status_code == 200
    assert "ratelimit-limit" not in answer.headers


async def test_a_browser_may_read_the_refusal_and_ask_beforehand(door: Door) -> None:
    process = await door(anonymous_rate_per_minute=1)
    await process.until_refused()

    refused = await process.ask("", Origin=ORIGIN)
    preflight = await process.client.options(
        "/things", headers={"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    )

    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (429, ORIGIN)
    assert preflight.status_code == 204


@pytest.mark.parametrize("limit", [40, 200])
async def test_processes_share_a_limit_and_overshoot_by_a_block_each(door: Door, word: str, limit: int) -> None:
    processes = [await door(general_rate_per_minute=limit) for _ in range(3)]

    passed = await asyncio.gather(*(process.until_refused(word) for process in processes))

    block = max(1, limit // BLOCKS)
    assert limit <= sum(passed) <= limit + block * len(processes)


async def test_a_flood_at_once_does_not_pass_the_limit(door: Door, word: str) -> None:
    processes = [await door(general_rate_per_minute=60) for _ in range(2)]

    answers = await asyncio.gather(*(process.ask(word) for process in processes for _ in range(120)))

    passed = sum(answer.status_code == 200 for answer in answers)
    assert 60 <= passed <= 60 + 2 * 60 // BLOCKS


async def test_an_ordinary_request_asks_redis_for_nothing(door: Door, word: str) -> None:
    process, asked = await door(general_rate_per_minute=300), 0
    ask_redis = process.runtime.redis.eval

    async def counted(*args: Any) -> Any:
        nonlocal asked
        asked += 1
        return await ask_redis(*args)

    process.runtime.redis.eval = counted
    for _ in range(6):
        await process.ask(word)
    assert asked == 0
    for _ in range(94):
        await process.ask(word)
    assert 5 <= asked <= 100 / (300 / BLOCKS / 2) + 1


async def test_without_redis_the_limit_holds_per_process(door: Door, word: str) -> None:
    away = {"redis_url": f"redis://127.0.0.1:{free_port()}/0", "general_rate_per_minute": 40}
    processes = [await door(**away) for _ in range(2)]

    began = time.monotonic()
    assert [await process.until_refused(word) for process in processes] == [40, 40]
    assert time.monotonic() - began < 3


async def test_zero_switches_a_limit_off(door: Door, word: str) -> None:
    users = await door(general_rate_per_minute=0, anonymous_rate_per_minute=2)
    strangers = await door(general_rate_per_minute=2, anonymous_rate_per_minute=0)
    nobody = await door(general_rate_per_minute=0, anonymous_rate_per_minute=0)

    assert await users.until_refused(word, 30) == 30
    assert await strangers.until_refused("", 30) == 30
    assert "ratelimit-limit" not in (await nobody.ask(word)).headers


async def attempt(runtime: Runtime, what: str, *who: str) -> int:
    """The seconds to wait; 0 when it was allowed."""
    try:
        await limits.exact(runtime, what, *who)
    except RateLimited as error:
        return int(error.headers["Retry-After"])
    return 0


async def test_an_exact_limit_is_exact_under_concurrency(door: Door, word: str) -> None:
    processes = [await door(query_rate_per_minute=30) for _ in range(2)]

    waits = await asyncio.gather(*(attempt(one.runtime, "query", word) for one in processes for _ in range(40)))

    assert waits.count(0) == 30
    assert all(1 <= wait <= 60 for wait in waits if wait)


async def test_an_exact_limit_is_kept_apart_by_what_and_who(door: Door, word: str) -> None:
    runtime = (await door(login_rate_per_minute=1, query_rate_per_minute=1)).runtime

    assert not any([await attempt(runtime, "login", "192.0.2.1", f"a{word}") for _ in range(1)])
    assert await attempt(runtime, "login", "192.0.2.1", f"b{word}") == 0
    assert await attempt(runtime, "login", "192.0.2.2", f"a{word}") == 0
    assert await attempt(runtime, "query", "192.0.2.1", f"a{word}") == 0
    assert await attempt(runtime, "login", "192.0.2.1", f"A{word}") > 0


async def test_without_redis_an_exact_limit_holds_per_process(door: Door, word: str) -> None:
    runtime = (await door(redis_url=f"redis://127.0.0.1:{free_port()}/0", query_rate_per_minute=30)).runtime

    waits = [await attempt(runtime, "query", word) for _ in range(31)]

    assert waits[:30] == [0] * 30
    assert waits[30] > 0


async def test_an_exact_limit_of_zero_is_none(door: Door, word: str) -> None:
    runtime = (await door(query_rate_per_minute=0)).runtime

    assert not any([await attempt(runtime, "query", word) for _ in range(40)])


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


TOO_DEEP = {
    "arrays": b"[" * 65 + b"]" * 65,
    "objects": nested(65),
    "never closed": b"[" * 200_000,
    "beside texts": b'{"x":"]]]}}","y":' + b'["]",' * 65 + b"1" + b"]" * 65 + b"}",
}
FITTING = {
    "64 levels": nested(64),
    "brackets in texts": b'{"a":"' + b"[{" * 500 + b'","b":"\\"[[\\\\"}',
    "wide": b"[" + b",".join([b"[1]"] * 5000) + b"]",
}


@pytest.mark.parametrize("body", TOO_DEEP.values(), ids=TOO_DEEP)
async def test_a_body_that_is_too_deep_is_refused_with_a_sentence(door: Door, body: bytes) -> None:
    answer = await (await door()).client.post("/things", content=body)

    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"] in (
        "The body is nested too deeply: 64 levels are the most.",
        "The body holds too many values: 100000 are the most.",
    )


@pytest.mark.parametrize("body", FITTING.values(), ids=FITTING)
async def test_a_body_within_the_limits_is_read_as_it_is(door: Door, body: bytes) -> None:
    answer = await (await door()).client.post("/things", content=body)

    assert (answer.status_code, answer.json()["kept"]) == (201, msgspec.json.decode(body))


@pytest.mark.parametrize("body", [b"[" + b"1," * 100_000 + b"1]", b"[" + b"[]," * 60_000 + b"1]"])
async def test_a_body_with_too_many_values_is_refused(door: Door, body: bytes) -> None:
    answer = await (await door()).client.post("/things", content=body)

    assert (answer.status_code, answer.json()["code"]) == (400, "MALFORMED")
    assert "too many values" in answer.json()["detail"]


async def test_the_application_refuses_depth_at_doors_of_every_kind(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    admin = await headers_for(runtime, (await an_account(runtime, roles=("admin",))).id)

    for path in ("/api/v1/auth/login", "/api/v1/auth/register", "/api/v1/clients"):
        for body in (b'{"x":' + nested(100) + b"}", b"[" * 100_000):
            json = {"Content-Type": "application/json"}
            answer = await client.post(path, content=body, headers={**admin, **json})
            assert (answer.status_code, answer.json()["code"]) == (400, "MALFORMED"), path
            assert "too" in answer.json()["detail"]


@pytest.mark.parametrize("is_told", [True, False])
async def test_a_body_may_not_be_larger_than_the_setting(door: Door, is_told: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b'"' + b"x" * 98 + b'"'

    content: Any = b"x" * 2000 if is_told else pieces()
    answer = await (await door(max_body_bytes=1000)).client.post("/things", content=content)

    assert (answer.status_code, answer.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")


async def test_an_address_may_not_be_endless(door: Door) -> None:
    client = (await door()).client

    assert (await client.get("/things?a=" + "x" * 16_000)).status_code == 200
    for path in ("/things?a=" + "x" * 17_000, "/" + "x" * 17_000):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (414, "URI_TOO_LONG")


async def test_parameters_and_headers_are_counted(door: Door) -> None:
    client = (await door()).client

    many = await client.get("/things?" + "&".join(f"a{n}=1" for n in range(257)))
    assert (many.status_code, many.json()["code"]) == (400, "TOO_MANY_PARAMETERS")
    assert (await client.get("/things?" + "&".join(f"a{n}=1" for n in range(256)))).status_code == 200
    for headers in ({f"X-{n}": "1" for n in range(129)}, {"X-Long": "x" * 66_000}):
        answer = await client.get("/things", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (431, "HEADERS_TOO_LARGE")
