"""Conversations as the application mounts them."""

from atrium.core.chat.assistant import assistant
from atrium.core.chat.controllers import ConversationController
from atrium.core.chat.models import Conversation, ConversationSummary, Message
from atrium.core.chat.sockets import chat_socket
from atrium.core.modules import Module

module = Module(
    "chat",
    "Conversations",
    controllers=(ConversationController, chat_socket),
    models=(Conversation, Message, ConversationSummary),
    on_startup=(assistant,),
)
