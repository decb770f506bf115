import os

import pytest

from atrium.core.http.logging import AccessLog, Line, mask, redact

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"GET /ws/chat?token={TOKEN}&x=1", "GET /ws/chat?token=[hidden]&x=1"),
        (f"GET /ws?access_token%3D{TOKEN}", "GET /ws?access_token%3D[hidden]"),
        (f"Authorization: Bearer {TOKEN}", "Authorization: Bearer [hidden]"),
        (f"protocol bearer, {TOKEN}", "protocol bearer, [hidden]"),
        (f'"{TOKEN}"', '"[hidden]"'),
        ("token=opaque-word rest", "token=[hidden] rest"),
        ("key atr_0123456789abcdef used", "key [hidden] used"),
        ("postgresql://app:hunter2@db.example/x", "postgresql://app:[hidden]@db.example/x"),
        ("redis://:hunter2@cache/0", "redis://:[hidden]@cache/0"),
        ("/saq?ticket=abc", "/saq?ticket=[hidden]"),
        (
            r'"x\n[SQL: SELECT $1]\n[parameters: (\'a@b.c\', 1)]\n(see',
            r'"x\n[SQL: SELECT $1]\n[parameters: [hidden]]\n(see',
        ),
        ("nothing to hide at http://localhost:8000/x", "nothing to hide at http://localhost:8000/x"),
    ],
)
def test_credentials_in_text_are_replaced(text: str, kept: str) -> None:
    assert redact(text) == kept


def test_members_named_like_secrets_are_replaced() -> None:
    event = {
        "user": "a",
        "Password": "x",
        "list": [{"api_key": "y", "token_type": "bearer"}],
        "new_token": "",
        "cookie": 1,
    }

    assert mask(event) == {
        "user": "a",
        "Password": "[hidden]",
        "list": [{"api_key": "[hidden]", "token_type": "bearer"}],
        "new_token": "",
        "cookie": "[hidden]",
    }


async def test_a_full_pipe_stops_nobody() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    log = AccessLog(writing)
    for _ in range(5000):
        log.add(Line("request", "GET", 200, 1.0, "id", "/x"))
    log.flush()
    os.close(reading)
    log.add(Line("request", "GET", 200, 1.0, "id", "/x"))

    log.flush()

    assert log.lines == []
    os.close(writing)
