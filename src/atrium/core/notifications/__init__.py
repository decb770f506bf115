"""What the platform tells people: the in-app inbox with its socket, and the mail that leaves through the outbox.

Notification: a row of a user's inbox. Outbox message: a mail, written in the transaction that causes it and sent later.
"""
