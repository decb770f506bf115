"""Conversations: a person with the assistant, or people of one case with each other; kept, streamed and never
invented.

- conversation: a thread with an owner; its *kind* says who takes part, its *module* which system it belongs to
- subject: the record of a module that a conversation is about (`subjects`), such as the client of a thread between
  client and advisor
- turn: a user's message and the assistant's answer to it, the lookups that were used in between
- lookup: a typed question that a module answers under the caller's scope (core.lookups)
- figure: a number, amount, share or date; the assistant says only those that a lookup returned or the user wrote
  (`figures`)
"""
