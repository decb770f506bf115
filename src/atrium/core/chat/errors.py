"""What can go wrong in a conversation."""

from atrium.core.errors import Conflict, DependencyDown, NotFound


class AnswerInProgress(Conflict):
    """The Assistant Is Still Answering"""

    default_detail = "The assistant is still answering the last message. Wait for it or cancel it."


class ConversationArchived(Conflict):
    """The Conversation Is Archived"""

    default_detail = "This conversation is archived. Set its status to active before you write in it."


class NothingToCancel(Conflict):
    """Nothing To Cancel"""

    default_detail = "This message is finished; there is nothing to cancel."


class NothingToSummarize(Conflict):
    """Nothing To Summarize"""

    default_detail = "There is no finished message in this conversation yet."


class SubjectNotFound(NotFound):
    """Not Found"""

    code = "NOT_FOUND"


class ModelUnreachable(DependencyDown):
    """The Language Model Is Not Reachable"""

    def __init__(self, detail: str = "", *, is_cut: bool = False) -> None:
        """`is_cut`: the model had begun to answer."""
        super().__init__(detail or "The language model is not reachable at the moment.")
        self.is_cut = is_cut
