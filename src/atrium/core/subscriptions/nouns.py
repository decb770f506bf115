"""The resources that can be subscribed to, by the names that their paths have."""

import re
from collections.abc import Iterable

from atrium.core.access import Principal
from atrium.core.errors import AtriumError, Invalid
from atrium.core.resources.resource import Resource
from atrium.core.runtime import Runtime

PREFIX = "/api/v1/"
PARAMETER = re.compile(r"\{\w+\}/")


class UnknownResource(Invalid):
    """Unknown Resource"""


class Nouns:
    """`clients`, or `admin/branches` in full; the last word alone where it means one resource only."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        known = tuple(resources)
        self._by_path = {noun_of(one): one for one in known}
        self._by_word: dict[str, list[str]] = {}
        for noun in self._by_path:
            self._by_word.setdefault(noun.rpartition("/")[2], []).append(noun)

    @classmethod
    def of(cls, runtime: Runtime) -> "Nouns":
        return cls(resource for module in runtime.parts.get("modules", ()) for resource in module.resources)

    def find(self, noun: str, principal: Principal) -> Resource:
        """Raises UnknownResource with what there is, and what `require` raises for a read that is not allowed."""
        resource = self._by_path.get(noun) or self._named(noun, principal)
        principal.require(resource.read)
        if not resource.model.audited:
            raise self._refusal(f"{noun} does not log its changes", principal)
        return resource

    def _named(self, word: str, principal: Principal) -> Resource:
        nouns = self._by_word.get(word, [])
        if len(nouns) > 1:
            raise UnknownResource(f"{word} means several resources: {', '.join(sorted(nouns))}.", allowed=sorted(nouns))
        if not nouns:
            raise self._refusal(f"{word[:100]} is not a resource here", principal)
        return self._by_path[nouns[0]]

    def _refusal(self, what: str, principal: Principal) -> AtriumError:
        allowed = sorted(noun for noun, one in self._by_path.items() if one.model.audited and principal.may(one.read))
        return UnknownResource(f"{what}; there are {', '.join(allowed) or 'none for you'}.", allowed=allowed)


def noun_of(resource: Resource) -> str:
    return PARAMETER.sub("", resource.path.removeprefix(PREFIX))
