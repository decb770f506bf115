"""JSON bodies of hand-written verbs: decoded straight into their type, explained field by field when they do not fit.

Litestar decodes a body without its type first, which sends every decimal through a float; `decode` does not.
"""

import re
from types import NoneType
from typing import Any, get_args

import msgspec

from atrium.core.errors import AtriumError, FieldError, Invalid, Malformed, UnknownField

PLACE = re.compile(r" - at `(?:key in )?\$(?P<path>[^`]*)`$")
STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[\.\.\.\]")
ABSENT = re.compile(r"missing required field `(?P<name>[^`]+)`")
UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]+)`")
NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
DEEPEST = 64
MOST_VALUES = 100_000
TOO_DEEP = f"The body is nested too deeply: {DEEPEST} levels are the most."
TOO_MANY = f"The body holds too many values: {MOST_VALUES} are the most."

_decoders: dict[Any, "msgspec.json.Decoder[Any]"] = {}


def decode(raw: bytes, kind: Any) -> Any:
    """The body as `kind`; raises Malformed, UnknownField or Invalid."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _faults(raw, kind, error) from None
    except RecursionError:
        raise Malformed(TOO_DEEP) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The body is not valid JSON: {error}.") from None


def check_shape(raw: bytes) -> None:
    """Refuse JSON that is too deep or holds too many values before anything is made of it.

    Counting bytes settles it for nearly every body; only what might be too much is looked at without its texts.
    """
    opened = raw.count(b"[") + raw.count(b"{")
    if opened <= DEEPEST and raw.count(b",") + opened <= MOST_VALUES:
        return
    plain = b"".join(raw.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    brackets = plain.translate(None, NOT_BRACKETS)
    if plain.count(b",") + len(brackets) // 2 > MOST_VALUES:
        raise Malformed(TOO_MANY)
    for _ in range(DEEPEST):
        if not brackets:
            return
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if brackets:
        raise Malformed(TOO_DEEP)


def explain(error: msgspec.ValidationError, root: tuple[str | int, ...] = ("body",)) -> FieldError:
    """The sentence of msgspec as a field error: where it stands, and what is wrong there."""
    text = str(error)
    found = PLACE.search(text)
    message = text[: found.start()] if found else text
    steps = STEP.finditer(found["path"]) if found else ()
    loc = root + tuple(int(step[2]) if step[2] else step[1] or "*" for step in steps)
    if absent := ABSENT.search(message):
        return FieldError((*loc, absent["name"]), "is required", "missing")
    if unknown := UNKNOWN.search(message):
        return FieldError((*loc, unknown["name"]), "unknown or read-only field", "unknown_field")
    message = message.replace("`", "")
    return FieldError(loc, message[:1].lower() + message[1:])


def invalid(errors: list[FieldError], **members: Any) -> Invalid:
    text = "; ".join(f"{'.'.join(map(str, error.loc[1:])) or 'the body'}: {error.msg}" for error in errors) + "."
    kind = UnknownField if any(error.type == "unknown_field" for error in errors) else Invalid
    return kind(text[0].upper() + text[1:] if text.startswith("the ") else text, errors=errors, **members)


def _faults(raw: bytes, kind: Any, error: msgspec.ValidationError) -> AtriumError:
    """Everything that is wrong with an object at once; only the first fault where it is not one plain struct."""
    struct = _struct(kind)
    given = _members(raw) if struct else None
    if struct is None or given is None:
        return invalid([explain(error)])
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    if struct.__struct_config__.forbid_unknown_fields:
        unknown = [name for name in given if name not in fields]
        if unknown:
            errors = [FieldError(("body", name), "unknown or read-only field", "unknown_field") for name in unknown]
            return invalid(errors, allowed=sorted(fields))
    errors = [
        FieldError(("body", name), "is required", "missing")
        for name, field in fields.items()
        if field.required and name not in given
    ]
    for name, value in given.items():
        if name in fields:
            try:
                msgspec.json.decode(value, type=fields[name].type)
            except msgspec.ValidationError as fault:
                errors.append(explain(fault, ("body", name)))
    return invalid(errors or [explain(error)])


def _struct(kind: Any) -> type[msgspec.Struct] | None:
    """The one struct that a body may be, `Struct | None` included; tagged unions have none."""
    options = [option for option in get_args(kind) or (kind,) if option is not NoneType]
    only = options[0] if len(options) == 1 else None
    if isinstance(only, type) and issubclass(only, msgspec.Struct) and not only.__struct_config__.tag:
        return only
    return None


def _members(raw: bytes) -> dict[str, msgspec.Raw] | None:
    try:
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        return None
