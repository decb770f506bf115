import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from tests.core.chat_house import House, house, talk, until
from tests.core.model_server import ModelServer, Reply, breaks_after, calls, hangs, refuses, says

from atrium.core import clock
from atrium.core.chat import assistant as turns
from atrium.core.chat import completions
from atrium.core.chat.engines import PhraseEngine
from atrium.core.config import Settings

QUESTION = "How is my work going?"


@pytest.fixture(scope="module")
async def home(settings: Settings) -> AsyncIterator[House]:
    async with house(msgspec.structs.replace(settings, redis_prefix=f"model-{os.getpid()}")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions, "FIRST_PAUSE", 0.01)


async def answered(home: House, *script: Reply, text: str = QUESTION) -> tuple[dict[str, Any], ModelServer]:
    """The assistant's message after one turn with a model that follows the script."""
    async with ModelServer(*script) as server, httpx.AsyncClient() as http, home.socket("worker") as connection:
        home.use_model(server.url, http)
        frames = await talk(connection, text)
        pieces = "".join(frame["delta"] for frame in frames if frame["type"] == "message.delta")
        assert pieces == frames[-1]["message"]["content"]
        return frames[-1]["message"], server


async def test_a_model_calls_lookups_and_words_their_figures(home: House) -> None:
    final, server = await answered(
        home,
        calls("house_count_cases", "{}"),
        calls("house_orders_of", json.dumps({"name": "Alder"})),
        says("You have tw", "o open ca", "ses. Alder has 7 orders wor", "th $1,234.50", "."),
    )

    assert final["content"] == "You have two open cases. Alder has 7 orders worth $1,234.50."
    assert (final["finish_reason"], final["model"]) == ("stop", "test-model-1")
    assert (final["prompt_tokens"], final["completion_tokens"]) == (10, 5)
    assert [one["label"] for one in final["citations"]] == ["Alder", "Birch"]
    first, second, third = server.seen
    assert first.headers["authorization"] == "bearer k"
    assert first.body["stream"] is True
    offered = {tool["function"]["name"]: tool["function"]["parameters"] for tool in first.body["tools"]}
    assert "house_secret" not in offered
    assert offered["house_orders_of"]["properties"] == {"name": {"type": "string"}}
    assert json.loads(second.tool_results()[0])["text"] == "You have 2 open cases."
    assert '"total":1234.5000' in third.tool_results()[1]
    chat = (await home.call("GET", f"/conversations/{final['conversation_id']}", "worker")).json()
    assert (chat["total_tokens"], chat["model"]) == (15, "test-model-1")


async def test_an_invented_figure_is_replaced_by_the_lookups_own_words(home: House) -> None:
    final, _ = await answered(
        home, calls("house_count_cases", "{}"), says("All is well. You have 3 open cases. ", "That is 50 % more.")
    )

    assert final["content"] == "All is well. \n\nYou have 2 open cases."
    assert final["finish_reason"] == "unverified_figures"


async def test_without_any_lookup_the_phrases_supply_the_true_figure(home: House) -> None:
    final, _ = await answered(home, says("You have 40 cases."), text="How many cases do I have?")
    plain, _ = await answered(home, says("You have 40 friends."), text="How many friends do I have?")

    assert (final["content"], final["finish_reason"]) == ("You have 2 open cases.", "unverified_figures")
    assert "40" not in plain["content"]
    assert "could not verify" in plain["content"]


async def test_the_users_own_figures_may_be_repeated(home: House) -> None:
    final, _ = await answered(home, says("You asked about 15 cases."), text="Could I handle 15 cases?")

    assert (final["content"], final["finish_reason"]) == ("You asked about 15 cases.", "stop")


async def test_a_failing_or_unknown_tool_is_told_to_the_model(home: House) -> None:
    final, server = await answered(
        home,
        calls("house_broken", "{}"),
        calls("house_nothing", "{}"),
        calls("house_orders_of", '{"name": 7}'),
        says("I could not find that out."),
    )

    assert final["content"] == "I could not find that out."
    told = server.seen[-1].tool_results()
    assert "could not be looked up" in told[0]
    assert "no tool" in told[1]
    assert "do not fit" in told[2]


async def test_the_rounds_with_tools_are_bounded(home: House) -> None:
    final, server = await answered(home, calls("house_count_cases", "{}"), text="How many cases do I have?")

    assert len(server.seen) == 5
    assert "tools" not in server.seen[-1].body
    assert final["status"] == "complete"


@pytest.mark.parametrize("refusal", [refuses(429, "Retry-After: 0"), refuses(500), refuses(503), breaks_after()])
async def test_a_failure_before_the_first_piece_is_tried_again(home: House, refusal: Reply) -> None:
    final, server = await answered(home, refusal, refusal, says("Good."))

    assert (final["content"], len(server.seen)) == ("Good.", 3)


async def test_attempts_are_bounded_and_the_phrases_answer_instead(home: House) -> None:
    final, server = await answered(home, refuses(500), text="How many cases do I have?")

    assert len(server.seen) == 3
    assert (final["content"], final["finish_reason"]) == ("You have 2 open cases.", "model_unavailable")
    assert final["error"]
    assert final["status"] == "complete"


async def test_a_refused_key_is_not_tried_again_and_said_plainly(home: House) -> None:
    final, server = await answered(home, refuses(401))

    assert len(server.seen) == 1
    assert final["content"].startswith("The language model is not reachable")


async def test_nothing_listens_at_all(home: House) -> None:
    async with httpx.AsyncClient() as http, home.socket("worker") as connection:
        home.use_model("http://127.0.0.1:1/v1", http)
        final = (await talk(connection, "How many cases do I have?"))[-1]["message"]

    assert (final["content"], final["finish_reason"]) == ("You have 2 open cases.", "model_unavailable")


async def test_a_cut_stream_is_completed_from_the_lookups(home: House) -> None:
    final, server = await answered(
        home, calls("house_count_cases", "{}"), breaks_after("All is well. ", "You have 2 op")
    )
    bare, _ = await answered(home, breaks_after("All is well. ", "There is"))

    assert final["content"] == "All is well. \n\nYou have 2 open cases."
    assert final["finish_reason"] == "model_unavailable"
    assert len(server.seen) == 2
    assert bare["content"] == "All is well. \n\nThe language model stopped before it had finished."


async def test_silence_of_the_model_ends_after_its_timeout(home: House) -> None:
    final, server = await answered(home, hangs("Let me "), text="How many cases do I have?")

    assert (final["content"], final["finish_reason"]) == ("You have 2 open cases.", "model_unavailable")
    assert len(server.seen) == 1
    await asyncio.wait_for(server.seen[0].hung_up.wait(), 2)


async def test_cancel_closes_the_stream_and_keeps_what_was_said(home: House) -> None:
    async with ModelServer(hangs("All is well. ", "And")) as server, httpx.AsyncClient() as http:
        home.use_model(server.url, http, seconds=20)
        async with home.socket("worker") as connection, home.socket("worker") as other:
            await connection.send(json.dumps({"type": "message", "id": "c1", "content": QUESTION}))
            delta = (await until(connection, "message.delta"))[-1]
            busy = await talk(other, "orders", conversation_id=delta["conversation_id"], id="c2")
            await connection.send(json.dumps({"type": "cancel", "id": "c1"}))
            error = (await until(connection, "error"))[-1]
            await asyncio.wait_for(server.seen[0].hung_up.wait(), 2)
            await connection.send(json.dumps({"type": "cancel", "id": "c1"}))
            again = (await until(connection, "error"))[-1]
    path = f"/conversations/{delta['conversation_id']}/messages"
    kept = (await home.call("GET", path, "worker")).json()["items"][-1]

    assert busy[-1]["code"] == "ANSWER_IN_PROGRESS"
    assert (error["code"], error["id"], error["message_id"]) == ("CANCELLED", "c1", delta["message_id"])
    assert again["code"] == "NOT_FOUND"
    assert (kept["status"], kept["content"]) == ("cancelled", "All is well. ")
    late = await home.call("POST", f"{path}/{kept['id']}/cancel", "worker")
    assert (late.status_code, late.json()["status"]) == (200, "cancelled")


async def test_an_answer_is_stored_as_it_grows_and_cancelled_from_another_process(home: House) -> None:
    async with ModelServer(hangs("All is well. ", "And")) as server, httpx.AsyncClient() as http:
        home.use_model(server.url, http, seconds=20)
        here = home.runtime.parts["assistant"]
        chat = (await home.call("POST", "/conversations", "worker", {})).json()["id"]
        path = f"/conversations/{chat}/messages"
        said = await home.call("POST", path, "worker", {"content": QUESTION, "stream": True})
        answer = said.json()["answer"]
        await asyncio.sleep(0.8)
        grown = (await home.call("GET", path, "worker")).json()["items"][-1]
        home.runtime.parts["assistant"] = turns.Assistant(home.runtime, PhraseEngine())
        cancelled = await home.call("POST", f"{path}/{answer['id']}/cancel", "worker")
        await asyncio.wait_for(server.seen[0].hung_up.wait(), 2)
        unknown = await home.call("POST", f"{path}/{clock.new_id()}/cancel", "worker")
        await here.close()

    assert said.status_code == 201
    assert answer["status"] == "pending"
    assert (grown["status"], grown["content"]) == ("streaming", "All is well. ")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert unknown.status_code == 404


async def test_a_turn_survives_its_socket_and_ends_with_its_process(home: House) -> None:
    async with ModelServer(hangs("All is well. ", "And")) as server, httpx.AsyncClient() as http:
        home.use_model(server.url, http, seconds=20)
        async with home.socket("worker") as connection:
            await connection.send(json.dumps({"type": "message", "id": "c1", "content": QUESTION}))
            delta = (await until(connection, "message.delta"))[-1]
        path = f"/conversations/{delta['conversation_id']}/messages"
        await asyncio.sleep(0.5)
        alive = (await home.call("GET", path, "worker")).json()["items"][-1]["status"]
        await home.runtime.parts["assistant"].close()
        ended = (await home.call("GET", path, "worker")).json()["items"][-1]

    assert alive == "streaming"
    assert (ended["status"], ended["content"]) == ("failed", "All is well. ")
    assert "restart" in ended["error"]


async def test_questions_at_once_are_limited_per_user(home: House) -> None:
    async with ModelServer(hangs("All is well. ")) as server, httpx.AsyncClient() as http:
        home.use_model(server.url, http, seconds=20)
        async with home.socket("worker") as connection:
            for number in range(5):
                await connection.send(json.dumps({"type": "message", "id": number, "content": QUESTION}))
            error = (await until(connection, "error"))[-1]
        await home.runtime.parts["assistant"].close()

    assert (error["code"], error["retry_after"]) == ("RATE_LIMITED", 2)
