"""A declared resource and what can be done with it, apart from HTTP.

    notes = Resource(
        Note,
        path="/api/v1/notes",
        also=("/api/v1/clients/{client_id}/notes",),
        tag="wealth-clients",
        read="wealth.notes.read",
        write="wealth.notes.write",
        filters=("category", "client_id"),
        search=("body",),
        sort="-created_at",
        example={"body": "Called about the house."},
    )

The rows come from the model's policy (core.access), the wire from its columns (core.db.wire). Plain verbs are one
statement each; rules that need no I/O hook in as pure functions (`on_create`, `on_update`) and as conditions on the
old row
(`update_if`, `delete_if`). Path parameters of `also` name columns: they narrow what is listed and fill what is made.
"""

from atrium.core.resources.restoring import Restoring


class Resource(Restoring):
    """A declaration with all that follows: read (`reading`), written (`writing`, `bulk`), restored (`restoring`)."""
