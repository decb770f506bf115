"""Who may read and write in which conversation.

The owner; in shared kinds everybody whose own id opens the subject; and for reading, the holders of
`<module>.oversee` in the conversations of that module. Administrators run the system and read nothing here, unless
they take part themselves.
"""

from collections.abc import Iterable

from sqlalchemy import and_, or_, select

from atrium.core.access import Clause, Policy, caller, policy_of, protect, through
from atrium.core.chat.models import Conversation, ConversationSummary, Message
from atrium.core.chat.subjects import ConversationSubject

OWN = Clause(claim="user_id", rows=Conversation.user_id == caller("user_id"), stamps={"user_id": "user_id"})

protect(Conversation, Policy((OWN,), administrators=False))
for part in (Message, ConversationSummary):
    protect(part, through(part.conversation_id, Conversation, writes=False))


def participants(subject: ConversationSubject) -> tuple[Clause, ...]:
    """Those whose claim opens the subject's row; a permission alone makes nobody part of a conversation."""
    link, parent = subject.table, subject.parent
    found = []
    for one in policy_of(parent).clauses:
        if one.claim is None or one.rows is None:
            continue
        about = select(link.c.conversation_id).where(link.c[subject.field].in_(select(parent.id).where(one.rows)))
        rows = and_(or_(*(Conversation.kind == kind for kind in subject.kinds)), Conversation.id.in_(about))
        found.append(Clause(claim=one.claim, permission=one.permission, without=one.without, rows=rows))
    return tuple(found)


def conversation_policy(subjects: Iterable[ConversationSubject], modules: Iterable[str]) -> Policy:
    """The whole policy of conversations, once the modules are known."""
    shared = [clause for subject in subjects if subject.kinds for clause in participants(subject)]
    overseen = [
        Clause(permission=f"{module}.oversee", rows=Conversation.module == module, writes=False) for module in modules
    ]
    return Policy((OWN, *shared, *overseen), administrators=False)
