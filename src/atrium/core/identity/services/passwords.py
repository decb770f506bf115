"""Hashing and verifying passwords, away from the event loop.

argon2id takes tens of milliseconds and 64 MiB each: the small pool of threads is what keeps a burst of logins
from taking all memory; whoever comes later waits in its queue.
"""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

BCRYPT_BYTES = 72
ARGON2, BCRYPT = Argon2Hasher(), BcryptHasher()
THREADS = ThreadPoolExecutor(max_workers=4, thread_name_prefix="password")


async def hash_password(password: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(THREADS, ARGON2.hash, password)


async def verify_password(password: str, hashed: str | None) -> tuple[bool, str | None]:
    """Whether it is right, and a better hash to store if the stored one is of an old kind.

    Without a hash (an unknown account, one that has no password) the same work is done for nothing.
    """
    return await asyncio.get_running_loop().run_in_executor(THREADS, _verify, password, hashed)


def _verify(password: str, hashed: str | None) -> tuple[bool, str | None]:
    if hashed is None:
        ARGON2.verify(password, nobody())
        return False, None
    if BCRYPT.identify(hashed):
        matches = _verify_bcrypt(password, hashed)
        return matches, ARGON2.hash(password) if matches else None
    if not ARGON2.verify(password, hashed):
        return False, None
    return True, ARGON2.hash(password) if ARGON2.check_needs_rehash(hashed) else None


def _verify_bcrypt(password: str, hashed: str) -> bool:
    """The old systems cut passwords at 72 bytes, so the same must be done to verify them."""
    try:
        return BCRYPT.verify(password.encode()[:BCRYPT_BYTES], hashed)
    except ValueError:
        return False


@cache
def nobody() -> str:
    """A hash that no password has, made once with the parameters in force."""
    return ARGON2.hash(secrets.token_urlsafe(32))
