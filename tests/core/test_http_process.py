import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.core.servers import free_port
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJl"


class Process:
    def __init__(self, folder: Path, log_level: str = "INFO") -> None:
        self.port, self.log = free_port(), folder / "stderr"
        command = [sys.executable, "-m", "uvicorn", "edge_program:app", "--port", str(self.port)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--app-dir", str(Path(__file__).parent)],
                stderr=log,
                stdout=log,
                env={"LOG_LEVEL": log_level},
            )
        deadline = time.monotonic() + 30
        while "Uvicorn running" not in self.log.read_text() and log_level == "INFO":
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    started = Process(tmp_path)
    yield started
    started.stop()


async def test_no_credential_of_a_session_reaches_the_log(process: Process) -> None:
    async with connect(f"ws://127.0.0.1:{process.port}/ws/chat?token={TOKEN}") as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{process.port}") as client:
        await client.get("/nothing", params={"token": TOKEN}, headers={"Authorization": f"Bearer {TOKEN}"})
        broken = await client.get("/broken", headers={"X-Request-Id": "mark"})
    process.stop()

    text, lines = process.log.read_text(), process.lines()
    assert "eyJ" not in text
    assert "hunter22" not in text
    assert any("token=[hidden]" in line["message"] and line["logger"] == "uvicorn.error" for line in lines)
    assert (
        next(line for line in lines if line["message"] == "joined")["nested"]["headers"]["authorization"] == "[hidden]"
    )
    assert next(line for line in lines if line["logger"] == "somebody.else")["message"].endswith("=[hidden] failed")
    failure = next(line for line in lines if line["message"] == "unhandled_error")
    assert failure["request_id"] == broken.json()["request_id"] == "mark"
    assert broken.json()["detail"] == "Something went wrong on our side. Quote the request id when you report it."
    assert "RuntimeError" in failure["exception"]
    access = [line for line in lines if line["logger"] == "access"]
    assert [(line["path"], line["status"]) for line in access] == [
        ("/ws/chat", 1000),
        ("/nothing", 404),
        ("/broken", 500),
    ]
    assert all(line["timestamp"] and line["level"] for line in lines)


async def test_a_signal_closes_sockets_and_finishes_requests(process: Process) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{process.port}") as client:
        socket = await connect(f"ws://127.0.0.1:{process.port}/ws/chat?token={TOKEN}")
        pending = asyncio.create_task(client.get("/slow"))
        await asyncio.sleep(0.3)

        process.process.send_signal(signal.SIGTERM)

        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(socket.recv(), 5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        answer = await pending
        assert (answer.status_code, answer.text) == (200, "done")
    assert await asyncio.to_thread(process.process.wait, 10) in (0, -signal.SIGTERM)
    told = [line for line in process.lines() if line["message"] in ("draining", "hub_closes")]
    assert [line["message"] for line in told] == ["draining", "hub_closes"]
