"""A transfer is its requester's alone: its file holds what its requester may see, or did send."""

from atrium.core.access import Clause, Policy, caller, protect
from atrium.core.transfers.models import Transfer

OWN = Clause(claim="user_id", rows=Transfer.requested_by == caller("user_id"), writes=False)

protect(Transfer, Policy((OWN,), administrators=False))
