from pathlib import Path
from typing import Any

import httpx
import pytest
from jinja2 import UndefinedError
from jinja2.exceptions import SecurityError
from tests.core.factories import a_login, an_account

import atrium.app  # noqa: F401  knows every template
from atrium.core.errors import Invalid
from atrium.core.notifications.plaintext import plain_text
from atrium.core.notifications.templates import TEMPLATES, MailTemplate, mail_template
from atrium.core.runtime import Runtime

PATH = "/api/v1/admin/mail-templates"


def a_template(folder: Path, **parts: str) -> MailTemplate:
    for suffix, text in {"subject_txt": "Hello {{ name }}", **parts}.items():
        (folder / f"one.{suffix.replace('_', '.')}").write_text(text)
    return MailTemplate("one", folder, "One", {})


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_every_template_can_be_filled_with_its_sample(name: str) -> None:
    template = TEMPLATES[name]

    filled = template.render(template.sample)

    assert filled.subject
    assert filled.text.strip()
    for value in template.sample.values():
        assert str(value) in filled.text or str(value) in (filled.html or "") or value == "warning"


def test_what_each_mail_is_called_stays() -> None:
    subjects = {name: template.render(template.sample).subject for name, template in TEMPLATES.items()}

    assert subjects == {
        "verify_email": "Confirm your e-mail address",
        "reset_password": "Choose a new password",
        "password_changed": "Your password was changed",
        "register_existing": "You have an account already",
        "account_locked": "Failed logins to your account",
        "notification": "Growth scan finished",
    }


def test_values_are_escaped_in_html_and_nowhere_else(tmp_path: Path) -> None:
    template = a_template(tmp_path, txt="{{ name }}", html="<p>{{ name }}</p>")

    filled = template.render({"name": "<b>Tom & Jerry</b>"})

    assert filled.subject == "Hello <b>Tom & Jerry</b>"
    assert filled.text == "<b>Tom & Jerry</b>"
    assert filled.html == "<p>&lt;b&gt;Tom &amp; Jerry&lt;/b&gt;</p>"


def test_html_alone_gets_a_text(tmp_path: Path) -> None:
    filled = a_template(tmp_path, html="<p>Hi {{ name }}</p>").render({"name": "A & B"})

    assert (filled.html, filled.text) == ("<p>Hi A &amp; B</p>", "Hi A & B\n")


def test_a_name_that_nobody_gave_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UndefinedError, match="nickname"):
        a_template(tmp_path, txt="Dear {{ nickname }}").render({"name": "x"})


@pytest.mark.parametrize("text", ["{{ name.__class__.__mro__ }}", "{{ ''.__class__ }}", "{{ names.append(1) }}"])
def test_a_template_stays_in_its_sandbox(tmp_path: Path, text: str) -> None:
    with pytest.raises(SecurityError):
        a_template(tmp_path, txt=text).render({"name": "x", "names": []})


@pytest.mark.parametrize("name", ["a\r\nBcc: b@example.com", "a\nb", "a\x0bb"])
def test_a_value_cannot_begin_another_header(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid):
        a_template(tmp_path, txt="x").render({"name": name})


def test_a_template_without_a_body_or_a_subject_is_none(tmp_path: Path) -> None:
    with pytest.raises(LookupError):
        a_template(tmp_path).render({"name": "x"})
    with pytest.raises(LookupError):
        MailTemplate("two", tmp_path, "Two", {}).render({})


def test_a_name_is_declared_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        mail_template("verify_email", Path(), title="", sample={})


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo\n"),
        ("One<br>Two", "One\nTwo\n"),
        ("<div>One</div>  <div>Two</div>", "One\nTwo\n"),
        ("<ul>\n<li>One</li>\n<li>Two</li>\n</ul>\n<p>End</p>", "- One\n- Two\n\nEnd\n"),
        ('<a href="https://a.b/c">here</a>', "here (https://a.b/c)\n"),
        ('<a href="https://a.b/c">https://a.b/c</a>', "https://a.b/c\n"),
        ("<head><title>No</title><style>p{}</style></head><p>A &amp; B &lt;3</p><script>no()</script>", "A & B <3\n"),
        ("<p>  a \n\n b  </p>", "a b\n"),
    ],
)
def test_html_reads_as_text(html: str, text: str) -> None:
    assert plain_text(html) == text


@pytest.fixture
async def admin(client: httpx.AsyncClient, runtime: Runtime) -> dict[str, str]:
    return (await a_login(client, await an_account(runtime, roles=("admin",)))).headers


async def test_administrators_see_what_mails_there_are(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    answer = await client.get(PATH, headers=admin)

    found: dict[str, Any] = {one["name"]: one for one in answer.json()["items"]}
    assert answer.status_code == 200
    assert answer.json()["total"] == len(TEMPLATES)
    assert found["reset_password"] == {
        "name": "reset_password",
        "title": "Somebody forgot a password",
        "subject": "Choose a new password",
        "formats": ["html", "text"],
        "variables": ["link", "name"],
    }
    assert found["account_locked"]["formats"] == ["text"]


async def test_administrators_look_at_a_mail(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    html = await client.get(f"{PATH}/reset_password/preview", headers=admin)
    text = await client.get(f"{PATH}/reset_password/preview?format=text", headers=admin)

    assert html.headers["content-type"].startswith("text/html")
    assert "sandbox" in html.headers["content-security-policy"]
    assert 'href="https://atrium.example/reset-password?token=mC2W4k0b3v"' in html.text
    assert text.headers["content-type"].startswith("text/plain")
    assert "https://atrium.example/reset-password?token=mC2W4k0b3v" in text.text


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("nothing/preview", 404),
        ("account_locked/preview?format=html", 404),
        ("account_locked/preview", 200),
        ("account_locked/preview?format=pdf", 422),
        ("..%2F..%2Fsecret/preview", 404),
    ],
)
async def test_what_there_is_to_look_at(
    client: httpx.AsyncClient, admin: dict[str, str], asked: str, status: int
) -> None:
    assert (await client.get(f"{PATH}/{asked}", headers=admin)).status_code == status


async def test_templates_are_for_administrators(client: httpx.AsyncClient, runtime: Runtime) -> None:
    somebody = await a_login(client, await an_account(runtime))

    for path in (PATH, f"{PATH}/reset_password/preview"):
        assert (await client.get(path)).status_code == 401
        assert (await client.get(path, headers=somebody.headers)).status_code == 403
