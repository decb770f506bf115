"""What comes in and goes out, derived from the columns: the wire Structs and the one decoder of bodies.

The quick way decodes a body straight into a Struct. Only when that fails is it read again field by field, so that the
answer
names everything that is wrong at once.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from atrium.core.db.wire import Field
from atrium.core.errors import FieldError, Invalid, Malformed, UnknownField

SERVER_OWNED = ("id", "created_at", "updated_at", "created_by", "updated_by")
"""Clients echo whole records; these are ignored instead of refused (decisions.md §2)."""
KEPT = (datetime, date, time, Decimal, UUID, bytes)
"""Types that stay what they are when a decoded body becomes a mapping of the fields that are present."""

NAMED = 50
"""As many unknown fields are named in one answer, so that it never grows with the body."""
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Body:
    """The writable fields of one verb for one kind of caller."""

    def __init__(
        self, name: str, fields: Iterable[Field], required: Callable[[Field], bool], extra: Mapping[str, Any]
    ) -> None:
        self.fields = {field.name: field for field in fields}
        self.extra = extra
        self.required = [field.name for field in self.fields.values() if required(field)]
        self.kinds = {name: field.type for name, field in self.fields.items()} | dict(extra)
        members: list[Any] = [(key, kind) for key, kind in self.kinds.items() if key in self.required]
        members += [(key, kind | UnsetType, UNSET) for key, kind in self.kinds.items() if key not in self.required]
        self.struct = msgspec.defstruct(name, members, kw_only=True)
        ignored = [(key, Any, UNSET) for key in SERVER_OWNED if key not in self.kinds]
        strict = msgspec.defstruct(name, [*members, *ignored], kw_only=True, forbid_unknown_fields=True)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(strict)

    def decode(self, raw: bytes) -> dict[str, Any]:
        """The fields that are present; raises Malformed, UnknownField or Invalid."""
        try:
            found = self._decoder.decode(raw)
        except msgspec.ValidationError:
            raise self._faults(raw) from None
        except UNREADABLE as error:
            raise _malformed(error) from None
        values: dict[str, Any] = msgspec.to_builtins(found, builtin_types=KEPT)
        for name in SERVER_OWNED:
            if name not in self.kinds:
                values.pop(name, None)
        return self.fit(values)

    def fit(self, values: dict[str, Any]) -> dict[str, Any]:
        """The same values, once each is known to be what PostgreSQL would store unchanged."""
        errors = [
            FieldError(("body", name), wrong)
            for name, value in values.items()
            if name in self.fields and value is not None and (wrong := self.fields[name].misfit(value))
        ]
        if errors:
            raise _invalid(errors)
        return values

    def convert(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The same from already decoded JSON, for callers that have no bytes (bulk, import, jobs)."""
        return self.decode(msgspec.json.encode(given))

    def _faults(self, raw: bytes) -> Invalid | Malformed:
        try:
            given = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        except msgspec.ValidationError:
            return Invalid("The body must be a JSON object.", errors=[FieldError(("body",), "must be an object")])
        except UNREADABLE as error:  # behind the first fault
            return _malformed(error)
        unknown = [name for name in given if name not in self.kinds and name not in SERVER_OWNED][:NAMED]
        if unknown:
            errors = [FieldError(("body", name), "unknown or read-only field", "unknown_field") for name in unknown]
            text = f"{', '.join(map(str, unknown))}: not a field you can set here."
            return UnknownField(text, errors=errors, allowed=sorted(self.kinds))
        errors = [FieldError(("body", name), "is required", "missing") for name in self.required if name not in given]
        for name, member in given.items():
            if name in self.kinds:
                try:
                    msgspec.json.decode(member, type=self.kinds[name])
                except msgspec.ValidationError as error:
                    errors.append(FieldError(("body", name), self._sentence(name, error)))
                except UNREADABLE as error:
                    return _malformed(error)
        return _invalid(errors or [FieldError(("body",), "must not name a field twice")])

    def _sentence(self, name: str, error: msgspec.ValidationError) -> str:
        choices = self.fields[name].column.info.get("choices") if name in self.fields else None
        if choices:
            return f"must be one of {', '.join(choices)}"
        text = str(error).replace("`", "")
        return text[0].lower() + text[1:]


def _malformed(error: Exception) -> Malformed:
    return Malformed(f"The body is not JSON: {error}.")


def _invalid(errors: list[FieldError]) -> Invalid:
    return Invalid("; ".join(f"{error.loc[-1]}: {error.msg}" for error in errors) + ".", errors=errors)


def read_struct(name: str, fields: Iterable[Field]) -> type[msgspec.Struct]:
    """What a record looks like; for the OpenAPI document and typed clients, records are never decoded here."""
    return msgspec.defstruct(name, [(field.name, field.type) for field in fields], kw_only=True)
