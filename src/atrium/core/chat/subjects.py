"""What a module's conversations are about: declared in its manifest, because core knows no module.

    ConversationSubject(module="wealth", link=ClientConversation, field="client_id", parent=Client,
                        kinds=("client_advisor",), people=select(Client.user_id).where(Client.id == subject_id()))

The link is a 1:1 row `(conversation_id, <field>)` in the module's schema; `<field>` is also its name on the wire.
Whoever may see the parent row may talk to the assistant about it. A conversation of one of `kinds` needs a subject,
and is shared: by everybody whose own id (a claim: the advisor, the client) opens the parent row.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, SelectBase, Table, Uuid, bindparam

from atrium.core.db.entity import Row

SUBJECT_ID = "subject_id"


def subject_id() -> BindParameter[UUID]:
    """The parent's id inside `people`."""
    return bindparam(SUBJECT_ID, type_=Uuid())


@dataclass(frozen=True, slots=True, eq=False)
class ConversationSubject:
    module: str
    link: type[Row]
    field: str
    parent: type[Any]
    kinds: tuple[str, ...] = ()
    people: SelectBase | None = None
    """The user ids of those who take part in a shared conversation; they are told of new messages."""

    @property
    def table(self) -> Table:
        return self.link.__table__  # type: ignore[return-value]
