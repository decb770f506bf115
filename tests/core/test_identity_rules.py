from datetime import timedelta

import pytest

from atrium.core import clock
from atrium.core.identity.models import Session
from atrium.core.identity.rules import (
    Rotation,
    common_passwords,
    judge_refresh,
    network_of,
    password_problem,
    successor,
)

NOW = clock.now()


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("203.0.113.7", "203.0.113.0/24"),
        ("::ffff:203.0.113.7", "203.0.113.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        (None, "unknown"),
        ("testclient", "unknown"),
    ],
)
def test_networks_that_are_locked_together(ip: str | None, network: str) -> None:
    assert network_of(ip) == network


@pytest.mark.parametrize(
    ("used", "revoked", "lives", "decision"),
    [
        (None, False, 60, Rotation.ROTATE),
        (10, False, 60, Rotation.TWIN),
        (11, False, 60, Rotation.REUSED),
        (None, True, 60, Rotation.INVALID),
        (5, True, 60, Rotation.INVALID),
        (None, False, 0, Rotation.INVALID),
    ],
)
def test_what_the_use_of_a_refresh_token_means(used: int | None, revoked: bool, lives: int, decision: Rotation) -> None:
    session = Session(
        used_at=None if used is None else NOW - timedelta(seconds=used),
        revoked_at=NOW if revoked else None,
        expires_at=NOW + timedelta(seconds=lives),
    )
    assert judge_refresh(session, NOW) is decision


@pytest.mark.parametrize(
    ("password", "kind"),
    [
        ("1234567", "too_short"),
        ("x" * 257, "too_long"),
        ("Dana.Levi", "like_email"),
        ("QWERTY123", "common"),
        ("password1", "common"),
        ("qwertyuiop", "common"),
        ("x" * 256, None),
        ("correct horse", None),
    ],
)
def test_new_passwords(password: str, kind: str | None) -> None:
    found = password_problem(password, "dana.levi@example.com")
    assert (found and found[0]) == kind


def test_the_bundled_list_is_as_it_is_compared() -> None:
    found = common_passwords()
    assert len(found) > 8000
    assert all(one == one.casefold() == one.strip() and len(one) >= 8 for one in found)


def test_a_successor_is_known_only_with_the_secret() -> None:
    assert successor("token", "secret") == successor("token", "secret") != successor("token", "another")
    assert len(successor("token", "secret")) == 43
