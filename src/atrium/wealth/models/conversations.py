"""Which client a conversation of core is about."""

from uuid import UUID

from sqlalchemy.orm import Mapped

import atrium.core.chat.models  # noqa: F401  the conversations that links refer to
from atrium.core.db.columns import SYSTEM, field
from atrium.core.db.entity import Entity


class ClientConversation(Entity, table="wealth.client_conversations"):
    """A conversation is about this client; the conversation says who may read it."""

    conversation_id: Mapped[UUID] = field(
        references="core.conversations.id", on_delete="CASCADE", unique=True, mark=SYSTEM
    )
    client_id: Mapped[UUID] = field(references="wealth.clients.id", scope=True, mark=SYSTEM)
