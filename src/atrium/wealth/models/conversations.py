"""Which client a conversation of core is about."""

from uuid import UUID

from sqlalchemy.orm import Mapped

import atrium.core.chat.models  # noqa: F401  the conversations that links refer to
from atrium.core.db.columns import SYSTEM, field
from atrium.core.db.entity import Entity
from atrium.core.db.routines import declare


class ClientConversation(Entity, table="wealth.client_conversations"):
    """A conversation is about this client; the conversation says who may read it."""

    conversation_id: Mapped[UUID] = field(
        references="core.conversations.id", on_delete="CASCADE", unique=True, mark=SYSTEM
    )
    client_id: Mapped[UUID] = field(references="wealth.clients.id", scope=True, mark=SYSTEM)


declare(
    """
CREATE OR REPLACE FUNCTION wealth.require_conversation_client() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    chat uuid;
BEGIN
    IF tg_table_name = 'conversations' THEN
        chat := new.id;
    ELSE
        chat := old.conversation_id;
    END IF;
    IF EXISTS (SELECT FROM core.conversations WHERE id = chat AND module = 'wealth' AND kind = 'client_advisor')
        AND NOT EXISTS (SELECT FROM wealth.client_conversations WHERE conversation_id = chat)
    THEN
        RAISE EXCEPTION 'a conversation of client and advisor names its client'
            USING ERRCODE = '23514', TABLE = 'conversations', CONSTRAINT = 'ck_conversations_client';
    END IF;
    RETURN NULL;
END $$
""",
    """
CREATE CONSTRAINT TRIGGER require_client AFTER INSERT OR UPDATE OF kind ON core.conversations
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wealth.require_conversation_client()
""",
    """
CREATE CONSTRAINT TRIGGER require_client AFTER UPDATE OR DELETE ON wealth.client_conversations
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wealth.require_conversation_client()
""",
)
