import asyncio
import json
import os
from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest
from tests.core.chat_house import House, house, talk, until

from atrium.core import clock
from atrium.core.chat import assistant as turns
from atrium.core.chat.services import MessageService
from atrium.core.config import Settings
from atrium.core.services import unit_of_work


@pytest.fixture(scope="module")
async def home(settings: Settings) -> AsyncIterator[House]:
    async with house(msgspec.structs.replace(settings, redis_prefix=f"chat-{os.getpid()}")) as opened:
        yield opened


async def started(home: House, who: str = "worker", **body: object) -> str:
    answer = await home.call("POST", "/conversations", who, body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"].endswith(answer.json()["id"])
    return str(answer.json()["id"])


async def test_a_turn_is_streamed_and_kept(home: House) -> None:
    async with home.socket("worker") as connection:
        frames = await talk(connection, "How many cases do I have?")

    assert [frame["type"] for frame in frames[:2]] == ["message.created", "message.tool"]
    assert {frame["id"] for frame in frames} == {"c1"}
    created, final = frames[0]["message"], frames[-1]["message"]
    pieces = [frame for frame in frames if frame["type"] == "message.delta"]
    assert [piece["seq"] for piece in pieces] == list(range(1, len(pieces) + 1))
    assert "".join(piece["delta"] for piece in pieces) == final["content"] == "You have 2 open cases."
    assert (created["role"], created["sequence"], final["role"], final["status"]) == (
        "user",
        1,
        "assistant",
        "complete",
    )
    assert final["id"] == pieces[0]["message_id"]
    assert final["finish_reason"] == "stop"
    assert [one["label"] for one in final["citations"]] == ["Alder", "Birch"]
    chat = final["conversation_id"]
    kept = (await home.call("GET", f"/conversations/{chat}/messages", "worker")).json()
    assert [row["role"] for row in kept["items"]] == ["user", "tool", "assistant"]
    assert [row["sequence"] for row in kept["items"]] == [1, 2, 3]
    assert kept["items"][1]["tool_payload"] == {
        "parameters": {},
        "row_count": 2,
        "rows": [{"name": "Alder"}, {"name": "Birch"}],
    }
    record = (await home.call("GET", f"/conversations/{chat}", "worker")).json()
    assert (record["message_count"], record["module"], record["kind"]) == (3, "house", "assistant")
    assert record["last_message_at"]
    assert record["client_id"] is None


async def test_decimals_of_a_lookup_keep_their_digits(home: House) -> None:
    async with home.socket("worker") as connection:
        await connection.send(json.dumps({"type": "message", "id": "d", "message": "show orders"}))
        texts: list[str] = []
        while not texts or '"message.completed"' not in texts[-1]:
            texts.append(str(await connection.recv()))

    assert any('"total":1234.5000' in text for text in texts if '"message.tool"' in text)


async def test_a_question_that_nothing_answers_gets_an_honest_answer(home: House) -> None:
    async with home.socket("worker") as connection:
        final = (await talk(connection, "What is the meaning of life?"))[-1]["message"]

    assert "How many cases do I have?" in final["content"]
    assert (final["finish_reason"], final["citations"]) == ("unanswered", [])
    assert not any(letter.isdigit() for letter in final["content"])


async def test_lookups_need_their_permission_and_may_fail(home: House) -> None:
    async with home.socket("worker") as connection:
        secret = (await talk(connection, "tell me secrets"))[-1]["message"]
        chat = secret["conversation_id"]
        nobody = (await talk(connection, "orders of Nobody", conversation_id=chat))[-1]["message"]
        broken = (await talk(connection, "break it", conversation_id=chat))[-1]["message"]

    assert secret["finish_reason"] == "unanswered"
    assert nobody["content"] == "There is no case of that name."
    assert "could not be looked up" in broken["content"]
    assert "99" not in broken["content"]


async def test_all_sockets_of_the_user_see_the_turn(home: House) -> None:
    async with home.socket("worker") as one, home.socket("worker") as two, home.socket("colleague") as other:
        first = await talk(one, "How many cases do I have?")
        second = await until(two, "message.completed")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(other.recv(), 0.2)

    assert first == second


async def test_who_reads_a_conversation_with_the_assistant(home: House) -> None:
    text = "How many cases do I have? Quarkxylo"
    async with home.socket("worker") as connection:
        chat = (await talk(connection, text))[-1]["conversation_id"]
    answers = {
        who: await home.call("GET", f"/conversations/{chat}/messages", who)
        for who in ("worker", "colleague", "person", "overseer", "stranger", "admin")
    }

    assert {who: answer.status_code for who, answer in answers.items()} == {
        "worker": 200,
        "colleague": 404,
        "person": 404,
        "overseer": 200,
        "stranger": 404,
        "admin": 404,
    }
    assert text in answers["overseer"].text
    assert text not in answers["admin"].text
    for who in ("colleague", "stranger", "admin"):
        listed = (await home.call("GET", "/conversations?limit=100", who)).text
        assert chat not in listed
        for method, path in (
            ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/messages"), ("POST", "/summarize"),
            ("POST", f"/messages/{clock.new_id()}/cancel"),
        ):  # fmt: skip
            body = {"content": "x"} if path == "/messages" else {"title": "x"} if method == "PATCH" else None
            assert (await home.call(method, f"/conversations/{chat}{path}", who, body)).status_code == 404
    overseen = await home.call("POST", f"/conversations/{chat}/messages", "overseer", {"content": "x"})
    assert overseen.status_code == 403
    assert chat in (await home.call("GET", "/conversations?module=house&limit=100", "overseer")).text


async def test_a_shared_thread_is_found_again_and_heard_by_all_who_take_part(home: House) -> None:
    body = {"kind": "client_advisor", "client_id": str(home.case_id)}
    async with home.socket("worker") as worker, home.socket("person") as person:
        await worker.send(json.dumps({"type": "message", "id": "a", "content": "Good morning", **body}))
        sent, heard = (await until(worker, "message.created"))[-1], (await until(person, "message.created"))[-1]
        await person.send(json.dumps({"type": "message", "id": "b", "content": "Good evening", **body}))
        answered = (await until(worker, "message.created"))[-1]

    assert sent["id"] == "a"
    assert "id" not in heard
    assert heard["message"] == sent["message"]
    assert answered["conversation_id"] == sent["conversation_id"]
    chat = sent["conversation_id"]
    record = (await home.call("GET", f"/conversations/{chat}", "person")).json()
    assert (record["kind"], record["client_id"]) == ("client_advisor", str(home.case_id))
    listed = (await home.call("GET", f"/conversations?client_id={home.case_id}", "worker")).json()
    assert [row["id"] for row in listed["items"]] == [chat]
    statuses = {
        who: (await home.call("GET", f"/conversations/{chat}/messages", who)).status_code
        for who in ("colleague", "overseer", "admin", "stranger")
    }
    assert statuses == {"colleague": 404, "overseer": 200, "admin": 404, "stranger": 404}
    assert (await home.call("PATCH", f"/conversations/{chat}", "person", {"title": "x"})).status_code == 403


async def test_the_worker_takes_part_in_a_thread_that_the_person_began(home: House) -> None:
    case_id = clock.new_id()
    await home.runtime.database.pool.execute(
        "INSERT INTO house.cases (id, worker_id, person_id, name) VALUES ($1, $2, $3, 'Dogwood')",
        case_id,
        home.tokens.known["worker"].user_id,
        home.tokens.known["person"].user_id,
    )
    chat = await started(home, "person", kind="client_advisor", client_id=str(case_id))
    path = f"/conversations/{chat}/messages"

    asked = await home.call("POST", path, "person", {"content": "Good morning"})
    read = await home.call("GET", path, "worker")
    said = await home.call("POST", path, "worker", {"content": "I am here"})
    kept_out = await home.call("POST", path, "colleague", {"content": "Me too"})
    await home.runtime.database.pool.execute(
        "UPDATE house.cases SET worker_id = $2 WHERE id = $1", case_id, home.tokens.known["colleague"].user_id
    )
    handed_over = await home.call("GET", path, "worker")

    assert [row["content"] for row in read.json()["items"]] == ["Good morning"]
    assert (asked.status_code, said.status_code, kept_out.status_code) == (201, 201, 404)
    assert handed_over.status_code == 404


async def test_a_subject_outside_the_scope_is_not_found(home: House) -> None:
    foreign = {"kind": "client_advisor", "client_id": str(home.foreign_case_id)}
    async with home.socket("worker") as connection:
        error = (await talk(connection, "hi", **foreign))[-1]
    refused = await home.call("POST", "/conversations", "worker", foreign)
    missing = await home.call("POST", "/conversations", "worker", {"kind": "client_advisor"})
    unknown = await home.call("POST", "/conversations", "worker", {"kind": "request_thread"})

    assert (error["type"], error["code"], error["id"]) == ("error", "NOT_FOUND", "c1")
    assert [answer.status_code for answer in (refused, missing, unknown)] == [422, 422, 422]
    assert refused.json()["errors"][0]["loc"] == ["body", "client_id"]


async def test_messages_are_marked_as_read_by_the_others_only(home: House) -> None:
    body = {"kind": "client_advisor", "client_id": str(home.case_id)}
    async with home.socket("worker") as worker, home.socket("person") as person:
        await worker.send(json.dumps({"type": "message", "id": "a", "content": "Please read", **body}))
        frame = (await until(worker, "message.created"))[-1]
        chat, sequence = frame["conversation_id"], frame["message"]["sequence"]
        read = {"type": "read", "conversation_id": chat, "up_to_sequence": sequence}
        await worker.send(json.dumps(read))
        await worker.send(json.dumps({"type": "ping", "id": 1}))
        await asyncio.sleep(0.2)
        before = (await home.call("GET", f"/conversations/{chat}/messages?sequence={sequence}", "worker")).json()
        await person.send(json.dumps(read))
        await asyncio.sleep(0.2)
        after = (await home.call("GET", f"/conversations/{chat}/messages?sequence={sequence}", "worker")).json()

    assert before["items"][0]["read_at"] is None
    assert after["items"][0]["read_at"] is not None


async def test_a_conversation_over_rest(home: House) -> None:
    chat = await started(home, title="Mine")
    said = await home.call("POST", f"/conversations/{chat}/messages", "worker", {"content": "How many cases?"})

    assert said.status_code == 201
    assert said.json()["message"]["content"] == "How many cases?"
    assert (said.json()["answer"]["content"], said.json()["answer"]["status"]) == ("You have 2 open cases.", "complete")
    read = await home.call("GET", f"/conversations/{chat}", "worker")
    stale = await home.call("PATCH", f"/conversations/{chat}", "worker", {"title": "x"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    tag = {"If-Match": read.headers["etag"]}
    changed = await home.call("PUT", f"/conversations/{chat}", "worker", {**read.json()} | {"title": "x"}, headers=tag)
    assert changed.status_code == 422
    changed = await home.call("PATCH", f"/conversations/{chat}", "worker", {"title": "Ours", "id": "x"}, headers=tag)
    assert (changed.status_code, changed.json()["title"]) == (200, "Ours")
    assert (await home.call("DELETE", f"/conversations/{chat}", "worker")).status_code == 204
    refused = await home.call("POST", f"/conversations/{chat}/messages", "worker", {"content": "again"})
    assert (refused.status_code, refused.json()["code"]) == (409, "CONVERSATION_ARCHIVED")
    active = await home.call("GET", "/conversations?status=active&limit=100", "worker")
    assert chat not in active.text
    for query in ("nonsense=1", "kind=other", "order_by=title", "limit=0"):
        assert (await home.call("GET", f"/conversations?{query}", "worker")).status_code == 422
    assert (await home.call("GET", "/conversations/not-an-id", "worker")).status_code == 404


async def test_pages_of_messages_follow_the_sequence(home: House) -> None:
    chat = await started(home)
    for number in range(3):
        await home.call("POST", f"/conversations/{chat}/messages", "worker", {"content": f"orders {number}"})
    seen: list[int] = []
    query = "limit=4"
    while query:
        page = (await home.call("GET", f"/conversations/{chat}/messages?{query}", "worker")).json()
        seen += [row["sequence"] for row in page["items"]]
        query = f"limit=4&cursor={page['next_cursor']}" if page["next_cursor"] else ""

    assert seen == list(range(1, 10))


async def test_content_has_a_length(home: House) -> None:
    chat = await started(home)
    async with home.socket("worker") as connection:
        for content in ("", "   ", "x" * 8001, "nul \0"):
            assert (await talk(connection, content))[-1]["code"] == "VALIDATION_ERROR"
        await connection.send(json.dumps({"type": "message", "id": "m"}))
        assert (await until(connection, "error"))[-1]["code"] == "VALIDATION_ERROR"
        await connection.send(json.dumps({"type": "message", "id": "m", "content": 7}))
        assert (await until(connection, "error"))[-1]["code"] == "VALIDATION_ERROR"
    for content in ("", "x" * 8001, "nul \0"):
        answer = await home.call("POST", f"/conversations/{chat}/messages", "worker", {"content": content})
        assert answer.status_code == 422
    files = {"content": "x", "attachments": [str(clock.new_id())]}
    assert (await home.call("POST", f"/conversations/{chat}/messages", "worker", files)).status_code == 422


async def test_a_summary_is_made_of_what_was_said(home: House) -> None:
    chat = await started(home)
    nothing = await home.call("POST", f"/conversations/{chat}/summarize", "worker")
    await home.call("POST", f"/conversations/{chat}/messages", "worker", {"content": "How many cases do I have?"})
    first = await home.call("POST", f"/conversations/{chat}/summarize", "worker")
    again = await home.call("POST", f"/conversations/{chat}/summarize", "worker")
    await home.call("POST", f"/conversations/{chat}/messages", "worker", {"content": "And orders?"})
    second = (await home.call("POST", f"/conversations/{chat}/summarize", "worker")).json()

    assert (nothing.status_code, first.status_code) == (409, 201)
    assert first.json()["id"] == again.json()["id"]
    assert (second["from_sequence"], second["to_sequence"]) == (1, 6)
    assert "How many cases do I have?" in second["summary"]
    assert "And orders?" in second["summary"]
    assert second["key_points"][0] == "You have 2 open cases."


async def test_a_long_history_is_summarised_by_itself(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PROMPT_CHARACTERS", 100)
    chat = await started(home)
    for number in range(8):
        await home.call("POST", f"/conversations/{chat}/messages", "worker", {"content": f"orders {number}"})
    async with unit_of_work(home.runtime) as work:
        summary = await MessageService(work).last_summary(chat)  # type: ignore[arg-type]

    assert summary is not None
    assert summary.from_sequence == 1


async def test_messages_at_the_same_moment_get_different_numbers(home: House) -> None:
    body = {"kind": "client_advisor", "client_id": str(home.case_id)}
    first = await home.call("POST", "/conversations", "worker", body)
    path = f"/conversations/{first.json()['id']}/messages"
    answers = await asyncio.gather(
        *(home.call("POST", path, who, {"content": "now"}) for who in ("worker", "person") * 5)
    )

    assert {answer.status_code for answer in answers} == {201}
    assert sorted(answer.json()["message"]["sequence"] for answer in answers) == list(range(1, 11))


async def test_a_finished_message_is_kept_as_it_is(home: House) -> None:
    chat = await started(home)
    said = await home.call("POST", f"/conversations/{chat}/messages", "worker", {"content": "orders"})
    pool, message_id = home.runtime.database.pool, said.json()["message"]["id"]
    for statement in (
        "UPDATE core.messages SET content = 'other' WHERE id = $1",
        "UPDATE core.messages SET status = 'failed' WHERE id = $1",
        "DELETE FROM core.messages WHERE id = $1",
    ):
        with pytest.raises(asyncpg.PostgresError) as refused:
            await pool.execute(statement, message_id)
        assert refused.value.sqlstate == "ATR02"
    await pool.execute("UPDATE core.messages SET read_at = now() WHERE id = $1", message_id)
    with pytest.raises(asyncpg.PostgresError):
        await pool.execute("UPDATE core.messages SET read_at = NULL WHERE id = $1", message_id)

    assert await pool.execute("DELETE FROM core.conversations WHERE id = $1", chat) == "DELETE 1"


async def test_answers_of_a_process_that_is_gone_are_ended(home: House) -> None:
    chat = await started(home)
    pool = home.runtime.database.pool
    await pool.execute(
        "INSERT INTO core.messages (id, conversation_id, sequence, role, status, content, updated_at) "
        "VALUES ($1, $2, 1, 'assistant', 'streaming', 'You have', now() - interval '1 hour')",
        clock.new_id(),
        chat,
    )
    async with unit_of_work(home.runtime) as work:
        ended = await MessageService(work).end_stalled(clock.now())
    row = await pool.fetchrow("SELECT status, content, error FROM core.messages WHERE conversation_id = $1", chat)

    assert ended >= 1
    assert row is not None
    assert tuple(row) == ("failed", "You have", "The answer was interrupted by a restart.")
