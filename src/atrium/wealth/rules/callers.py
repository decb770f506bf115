"""In which part somebody acts who may hold several."""

from atrium.core.access import Principal


def acts_as_client(principal: Principal) -> bool:
    """A portal user; whoever is an advisor or administrator as well acts as that."""
    return "client_id" in principal.claims and "advisor_id" not in principal.claims and not principal.is_admin
