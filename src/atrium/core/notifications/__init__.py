"""What the platform tells people: the in-app inbox with its socket, and the mail that leaves through the outbox.

Notification: a row of a user's inbox. Outbox message: a mail to one recipient, written in the transaction that causes
it and sent later. Template: what a mail says, in files of the module that owns it. Preferences: which notifications are
repeated by mail, and the quiet hours in which such mail waits.
"""
