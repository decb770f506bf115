"""What is shipped beside the code says what the code does: settings, image, compose file, wheel, README."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import msgspec
import pytest

from atrium.core.config import Settings, read_env_file
from atrium.up.options import Options, Program

ROOT = Path(__file__).parent.parent
VARIABLES = {name.upper() for name in Settings.__struct_fields__}
READ_ELSEWHERE = {"ATRIUM_PG_BIN", "ATRIUM_REDIS_BIN"}
OF_COMPOSE = {"POSTGRES_PASSWORD", "APPLICATION_PASSWORD", "REDIS_PASSWORD", "ATRIUM_TAG"}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = msgspec.yaml.decode(read("deploy/compose.yaml"))["services"]
    return found


def test_the_example_names_every_setting_once() -> None:
    named = re.findall(r"^([A-Z_]+)=", read(".env.example"), re.MULTILINE)

    assert sorted(named) == sorted(VARIABLES)


def test_the_example_shows_the_defaults() -> None:
    assert Settings.from_env(read_env_file(ROOT / ".env.example")) == Settings()


def test_the_example_has_a_value_where_there_is_a_default() -> None:
    values = read_env_file(ROOT / ".env.example")

    empty = {name for name, value in values.items() if not value}

    fields = msgspec.structs.fields(Settings)
    assert empty == {field.name.upper() for field in fields if field.default in ("", (), None)} | {"SECRET_KEY"}


def test_the_example_explains_every_setting() -> None:
    unexplained = re.findall(r"(?:^|\n)(?!#)[^\n]*\n([A-Z_]+)=", read(".env.example"))

    assert unexplained == []


def test_the_example_names_what_is_read_elsewhere() -> None:
    sources = (ROOT / "src/atrium/embedded").glob("*.py")
    found = {name for path in sources for name in re.findall(r'"(ATRIUM_[A-Z_]+)"', path.read_text(encoding="utf-8"))}

    assert found == READ_ELSEWHERE == set(re.findall(r"^# ([A-Z_]+)=$", read(".env.example"), re.MULTILINE))


def test_the_compose_file_names_existing_settings_only(services: dict[str, dict[str, Any]]) -> None:
    for name in ("api", "worker", "migrate"):
        assert set(services[name]["environment"]) <= VARIABLES | {"POSTGRES_PASSWORD"}, name

    asked = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", read("deploy/compose.yaml")))
    assert asked <= VARIABLES | OF_COMPOSE


def test_the_compose_file_gives_production_all_it_needs(services: dict[str, dict[str, Any]]) -> None:
    given = services["api"]["environment"] | {"SECRET_KEY": "x" * 64}

    assert Settings.from_env(given).is_production


def test_only_the_migrations_know_the_owner_of_the_database(services: dict[str, dict[str, Any]]) -> None:
    for name in ("api", "worker", "migrate"):
        environment = services[name]["environment"]
        assert "//atrium_app:" in environment["DATABASE_URL"]
        assert environment["POSTGRES_PASSWORD"] == ""  # deploy/.env, which has it, is read by all
        assert ("//atrium:" in str(environment)) is (name == "migrate")


def test_services_wait_for_servers_and_migrations(services: dict[str, dict[str, Any]]) -> None:
    for name in ("api", "worker"):
        assert {key: value["condition"] for key, value in services[name]["depends_on"].items()} == {
            "postgres": "service_healthy",
            "redis": "service_healthy",
            "migrate": "service_completed_successfully",
        }
    assert {name for name, service in services.items() if "test" in service.get("healthcheck", {})} == {
        "postgres",
        "redis",
    }


def test_every_service_is_limited_and_unprivileged(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}, name
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_the_image_runs_the_api_as_atrium_up_does() -> None:
    dockerfile = read("Dockerfile").replace("\\\n", "")
    commands = re.findall(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)
    command: list[str] = msgspec.json.decode(commands[-1])

    expected = list(Program().children["api"](Options(host="0.0.0.0")))[2:]  # noqa: S104

    drain = command.index("--timeout-graceful-shutdown")
    assert command[:drain] == expected[: expected.index("--timeout-graceful-shutdown")]


def test_the_image_is_built_from_what_the_ignore_file_lets_through() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", read("Dockerfile"), re.MULTILINE)

    kept = {line[1:] for line in read(".dockerignore").splitlines() if line.startswith("!")}

    assert {name for line in copied for name in line.split()} == kept


def test_the_wheel_carries_migrations_and_seeds(tmp_path: Path) -> None:
    build(tmp_path)

    (wheel,) = tmp_path.glob("*.whl")
    packed = set(ZipFile(wheel).namelist())
    wanted = {path.relative_to(ROOT / "db").as_posix() for path in (ROOT / "db").rglob("*.py")}
    assert {f"atrium/_db/{name}" for name in wanted} <= packed
    assert {"atrium/app.py", "atrium/_db/migrations/script.py.mako"} <= packed


def build(folder: Path) -> None:
    """Without a network where the build backend is known from the installation."""
    command = [os.environ.get("UV", "uv"), "build", "--wheel", "--quiet", "--out-dir", str(folder)]
    offline = subprocess.run([*command, "--offline"], cwd=ROOT, capture_output=True, check=False)
    if offline.returncode:
        subprocess.run(command, cwd=ROOT, check=True)


def test_the_readme_begins_with_the_two_commands() -> None:
    _, first, *_ = re.split(r"^```\w*\n", read("README.md"), flags=re.MULTILINE)

    assert first.splitlines() == ["pip install uv && uv run atrium up", "uv run pytest"]


def test_the_readme_names_every_package_of_the_core_and_what_it_points_to() -> None:
    readme = read("README.md")

    packages = {path.parent.name for path in (ROOT / "src/atrium/core").glob("*/__init__.py")}
    named = set(re.findall(r"^\| `(\w+)` \|", readme, re.MULTILINE))
    assert packages <= named
    for target in re.findall(r"\]\(([^)#]+)\)", readme):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_the_readme_shows_the_accounts_that_atrium_up_prints() -> None:
    printed = read("src/atrium/up/terminal.py")

    accounts = re.findall(r"^\| `(\S+@\S+)` \| `(\S+)` \|", read("README.md"), re.MULTILINE)

    assert len(accounts) == 4
    for email, password in accounts:
        assert re.search(rf"{re.escape(email)} +{re.escape(password)}", printed), email
