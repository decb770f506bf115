"""Secrets that must be read again: kept as ciphertext under a key that the database does not have.

What is only ever compared belongs into a hash. A sealed text begins with the id of its key, so that a new key can be
taken into use while what the old one sealed is still there; `bound_to` names the row it belongs to, so that it cannot
be moved into another.
"""

import functools
import os
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

ID_BYTES = 4
NONCE_BYTES = 12


class Unreadable(Exception):
    """It was sealed with another key, for something else, or not at all."""


class Key(NamedTuple):
    id: bytes
    cipher: AESGCM


def seal(secret_key: str, purpose: str, text: bytes, *, bound_to: bytes = b"") -> bytes:
    """`secret_key` is the setting; each purpose has a key of its own derived from it."""
    key, nonce = _key(secret_key, purpose), os.urandom(NONCE_BYTES)
    return key.id + nonce + key.cipher.encrypt(nonce, text, bound_to)


def unseal(secret_key: str, purpose: str, sealed: bytes, *, bound_to: bytes = b"") -> bytes:
    """The text; raises Unreadable."""
    key, end = _key(secret_key, purpose), ID_BYTES + NONCE_BYTES
    if sealed[:ID_BYTES] != key.id:
        raise Unreadable(f"sealed under the key {sealed[:ID_BYTES].hex()}, not under {key.id.hex()}")
    try:
        return key.cipher.decrypt(sealed[ID_BYTES:end], sealed[end:], bound_to)
    except (InvalidTag, ValueError):
        raise Unreadable("the text was changed or belongs to something else") from None


@functools.lru_cache(maxsize=32)
def _key(secret_key: str, purpose: str) -> Key:
    return Key(
        _derived(secret_key, f"atrium {purpose} id", ID_BYTES),
        AESGCM(_derived(secret_key, f"atrium {purpose} key", 32)),
    )


def _derived(secret_key: str, info: str, length: int) -> bytes:
    return HKDF(SHA256(), length, salt=None, info=info.encode()).derive(secret_key.encode())
