"""What can go wrong in wealth, beyond what every resource refuses."""

from atrium.core.errors import Conflict, Forbidden


class ClientHasOpenOrders(Conflict):
    """Client Has Open Orders"""


class OrderNotEditable(Conflict):
    """Order Is No Longer Editable"""


class AdvisorMismatch(Forbidden):
    """Another Advisor's Book"""


class NoBook(Forbidden):
    """Not An Active Advisor"""
