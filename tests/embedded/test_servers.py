import os
import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import redis

from atrium import embedded
from atrium.embedded import processes, server


def valkey(urls: embedded.Servers) -> "redis.Redis":
    assert urls.redis_url
    return redis.Redis.from_url(urls.redis_url, decode_responses=True)


def port_of(url: str) -> int:
    return urlsplit(url).port or 0


def test_a_first_start_gives_a_database_and_a_valkey(servers: embedded.Embedded, query: Callable[..., object]) -> None:
    urls = servers.urls

    assert urls.started
    assert query(urls.database_url, "SELECT current_user || '@' || current_database()") == "atrium@atrium"
    assert query(urls.database_url, "SELECT 'ä' COLLATE pg_c_utf8 < 'ö'")
    with valkey(urls) as connection:
        assert connection.config_get("appendonly") == {"appendonly": "yes"}


def test_what_was_promised_survives_a_power_cut(servers: embedded.Embedded, query: Callable[..., object]) -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert query(servers.urls.database_url, f"SHOW {setting}") == "on"


def test_nobody_gets_in_without_the_password(servers: embedded.Embedded, query: Callable[..., object]) -> None:
    urls = servers.urls
    assert urls.database_url
    assert urls.redis_url

    with pytest.raises(asyncpg.InvalidPasswordError):
        query(urls.database_url.replace("atrium:", "atrium:not"), "SELECT 1")
    with socket.create_connection(("127.0.0.1", port_of(urls.redis_url))) as stranger:
        stranger.sendall(b"PING\r\n")
        assert stranger.recv(100).startswith(b"-NOAUTH")


def test_the_addresses_are_readable_by_the_owner_only(servers: embedded.Embedded) -> None:
    secret = [
        servers.folder / "state.json",
        servers.folder / "log/postgres.log",
        servers.folder / "log/valkey.log",
    ]

    assert [stat.S_IMODE(path.stat().st_mode) for path in secret] == [0o600] * 3
    assert not list(servers.folder.rglob("*password*"))
    for pid in (servers.postgres_pid, servers.valkey_pid):
        assert pid
        assert (servers.urls.redis_url or "").split("@")[0][9:] not in processes.command_of(pid)


def test_a_second_start_attaches_and_leaves_the_servers_alone(servers: embedded.Embedded) -> None:
    with embedded.start(servers.folder) as second:
        assert not second.urls.started
        assert second.urls.database_url == servers.urls.database_url
        assert second.check() == []

    assert servers.check() == []
    assert embedded.find_running(servers.folder) == second.urls


def test_starters_at_the_same_moment_share_one_server(place: Path) -> None:
    started: list[embedded.Embedded] = []
    folder = place / "new" / ".atrium"
    threads = [threading.Thread(target=lambda: started.append(embedded.start(folder))) for _ in range(3)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    found = [one.urls for one in started]
    for one in started:
        one.stop()

    assert sorted(urls.started for urls in found) == [False, False, True]
    assert len({urls.database_url for urls in found}) == 1


def test_folders_do_not_know_each_other(servers: embedded.Embedded, folder: Path, query: Callable[..., object]) -> None:
    with embedded.start(folder) as other:
        query(servers.urls.database_url, "CREATE TABLE only_here ()")

        assert query(other.urls.database_url, "SELECT to_regclass('only_here')") is None
        assert other.urls.redis_url != servers.urls.redis_url


def test_a_stopped_folder_starts_again_where_it_was(folder: Path, query: Callable[..., object]) -> None:
    with embedded.start(folder) as first:
        urls = first.urls
        query(urls.database_url, "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
        with valkey(first.urls) as connection:
            connection.set("kept", "42")
    assert "database system is shut down" in (folder / "log/postgres.log").read_text()
    assert embedded.find_running(folder) is None

    with embedded.start(folder) as again:
        assert (again.urls, again.cluster) == (urls, first.cluster)
        assert query(urls.database_url, "SELECT answer FROM kept") == 42
        with valkey(again.urls) as connection:
            assert connection.get("kept") == "42"


def test_a_killed_postgres_is_revived_with_its_data(
    servers: embedded.Embedded, query: Callable[..., object], eventually: Callable[..., None]
) -> None:
    urls, pid = servers.urls, servers.postgres_pid
    assert pid
    query(urls.database_url, "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")

    os.kill(pid, 9)
    eventually(lambda: servers.check() == ["postgres"])

    assert servers.revive() == ["postgres"]
    assert (servers.urls, servers.check()) == (urls, [])
    assert query(urls.database_url, "SELECT answer FROM kept") == 42
    running = embedded.find_running(servers.folder)
    assert running
    assert running.database_url == urls.database_url


def test_a_killed_valkey_is_revived_with_its_data(servers: embedded.Embedded, eventually: Callable[..., None]) -> None:
    urls, pid = servers.urls, servers.valkey_pid
    assert pid
    with valkey(urls) as connection:
        connection.set("kept", "42")
        connection.execute_command("WAITAOF", 1, 0, 2000)

    os.kill(pid, 9)
    eventually(lambda: servers.check() == ["valkey"])

    assert servers.revive() == ["valkey"]
    assert servers.urls == urls
    with valkey(urls) as connection:
        assert connection.get("kept") == "42"


def test_the_servers_of_a_killed_process_stop_cleanly(
    folder: Path, own: Callable[..., Any], query: Callable[..., object], eventually: Callable[..., None]
) -> None:
    owner = own(folder)
    query(owner.database_url, "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")

    owner.kill()
    eventually(lambda: owner.is_stopped)

    assert "database system is shut down" in (folder / "log/postgres.log").read_text()
    assert "ready to exit" in (folder / "log/valkey.log").read_text()
    assert embedded.find_running(folder) is None
    with embedded.start(folder) as again:
        assert query(again.urls.database_url, "SELECT answer FROM kept") == 42


def test_a_start_right_after_a_kill_waits_for_the_remains(
    folder: Path, own: Callable[..., Any], query: Callable[..., object]
) -> None:
    own(folder).kill()

    with embedded.start(folder) as again:
        assert again.urls.started
        assert query(again.urls.database_url, "SELECT 1") == 1


def test_who_attached_takes_over_when_the_owner_is_gone(
    folder: Path, own: Callable[..., Any], query: Callable[..., object], eventually: Callable[..., None]
) -> None:
    owner = own(folder)
    with embedded.start(folder) as attached:
        owner.kill()
        eventually(attached.check)
        attached.revive()

        assert attached.urls.started
        assert attached.urls.database_url == owner.database_url
        assert query(owner.database_url, "SELECT 1") == 1


def test_a_killed_watchdog_is_replaced(servers: embedded.Embedded, eventually: Callable[..., None]) -> None:
    killed = servers._watchdog.pid
    assert killed
    os.kill(killed, 9)

    eventually(lambda: servers.check() == [] and servers._watchdog.pid not in (None, killed))


def test_a_port_that_was_taken_meanwhile_is_left_to_its_new_owner(folder: Path, query: Callable[..., object]) -> None:
    with embedded.start(folder, valkey=False) as first:
        before = first.urls.database_url
        query(before, "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
    assert before

    with socket.create_server(("127.0.0.1", port_of(before))), embedded.start(folder, valkey=False) as moved:
        assert moved.urls.database_url != before
        assert query(moved.urls.database_url, "SELECT answer FROM kept") == 42


def test_a_server_that_cannot_have_its_port_back_says_so(
    servers: embedded.Embedded, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None]
) -> None:
    monkeypatch.setattr(server, "RETRY_FOR", 0.2)
    assert servers.urls.database_url
    assert servers.postgres_pid
    port = port_of(servers.urls.database_url)
    os.kill(servers.postgres_pid, 9)
    eventually(lambda: servers.check() == ["postgres"])

    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(embedded.EmbeddedError, match=f"PostgreSQL cannot have port {port} back"):
            servers.revive()

    assert servers.revive() == ["postgres"]


def test_a_lost_state_costs_the_password_and_not_the_data(folder: Path, query: Callable[..., object]) -> None:
    with embedded.start(folder, valkey=False) as first:
        query(first.urls.database_url, "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
    (folder / "state.json").write_text("{ torn")

    with embedded.start(folder, valkey=False) as again:
        assert again.urls.database_url != first.urls.database_url
        assert query(again.urls.database_url, "SELECT answer FROM kept") == 42


def test_the_pid_of_a_stranger_in_the_data_does_no_harm(folder: Path, query: Callable[..., object]) -> None:
    with embedded.start(folder, valkey=False):
        pass
    (folder / "pg18/postmaster.pid").write_text(f"{os.getpid()}\n{folder}/pg18\n0\n5432\n\n127.0.0.1\n\nready\n")

    begin = time.monotonic()
    with embedded.start(folder, valkey=False) as again:
        assert query(again.urls.database_url, "SELECT 1") == 1
    assert time.monotonic() - begin < 5


def test_one_of_the_two_can_be_left_out(folder: Path) -> None:
    with embedded.start(folder, postgres=False) as only_valkey:
        assert only_valkey.urls.database_url is None

        with pytest.raises(embedded.EmbeddedError, match="started without PostgreSQL by process"):
            embedded.start(folder)


def test_erasing_begins_anew_and_spares_what_is_not_ours(place: Path, query: Callable[..., object]) -> None:
    folder = place / ".atrium"
    with embedded.start(folder) as first:
        query(first.urls.database_url, "CREATE TABLE gone ()")
    (folder / "uploads").mkdir()

    embedded.erase(folder)

    assert {path.name for path in folder.iterdir()} == {"uploads", "lock"}
    with embedded.start(folder, valkey=False) as again:
        assert query(again.urls.database_url, "SELECT to_regclass('gone')") is None
        assert again.cluster != first.cluster


def test_a_forced_program_that_does_not_run_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATRIUM_PG_BIN", "/nowhere")

    with pytest.raises(embedded.EmbeddedError, match="ATRIUM_PG_BIN names /nowhere"):
        embedded.start(folder)
    assert not embedded.is_in_use(folder)
