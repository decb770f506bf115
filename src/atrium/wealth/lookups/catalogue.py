"""What can be asked, with the words in which people ask it."""

from atrium.core.lookups import Lookup, phrases
from atrium.wealth.lookups.book import (
    count_by_risk,
    count_clients,
    list_birthdays,
    list_due_reviews,
    list_lapsed_contacts,
    list_opportunities,
    sum_net_worth,
)
from atrium.wealth.lookups.clients import describe_client, find_clients
from atrium.wealth.lookups.orders import count_orders, list_open_orders
from atrium.wealth.lookups.questions import Named, PerhapsNamed, Top, WhichClients, Within
from atrium.wealth.models.clients import CLIENT_STATUSES

CLIENT_NAME = r"(?P<name>[^\W\d_][\w .,'\u2019&-]*?)\s*[?.!]*$"
KINDS = (
    rf"(?:(?P<status>{'|'.join(CLIENT_STATUSES)})\s+)?"
    r"(?:(?P<risk_profile>(?:moderately[ _-])?(?:conservative|aggressive)|moderate)\s+)?"
)
HOW_MANY = r"(?:how many|number of|count (?:of )?)\s+(?:my\s+)?"
IN_BOOK = r"(?:\s+(?:do|did) (?:i|we) have|\s+are there|\s+have i got)?(?:\s+in (?:my|the|our) book|\s+in total)?"
END = r"\s*(?:[?.!]|$)"

ALL = (
    Lookup(
        "count_clients_by_risk",
        "How the clients are spread over the risk profiles",
        "wealth.book.ask",
        count_by_risk,
        phrases=phrases(
            r"\bclients?\b.*\b(?:by|per) risk", r"\brisk (?:profile )?(?:distribution|breakdown|split|mix)\b"
        ),
        example="How many clients do I have by risk profile?",
    ),
    Lookup(
        "count_clients",
        "How many clients there are, in total or of a status or risk profile",
        "wealth.book.ask",
        count_clients,
        WhichClients,
        phrases(
            rf"\b{HOW_MANY}{KINDS}clients{IN_BOOK}{END}",
            rf"\b{HOW_MANY}clients are (?P<status>{'|'.join(CLIENT_STATUSES)}){END}",
            rf"\b{HOW_MANY}clients are (?P<risk_profile>(?:moderately[ _-])?(?:conservative|aggressive)|moderate){END}",
            rf"^\s*(?:and|what about)\s+(?:my\s+)?{KINDS}clients{END}",
            rf"\bhow (?:big|large) is (?:my|the|our) book{END}",
        ),
        "How many clients do I have?",
    ),
    Lookup(
        "find_clients",
        "Clients whose name contains the words",
        "wealth.clients.read",
        find_clients,
        Named,
        phrases(
            r"\b(?:find|search(?: for)?|look up)\s+(?:the\s+|a\s+)?(?:clients?\s+)?"
            rf"(?:called\s+|named\s+)?{CLIENT_NAME}",
            rf"\bclients?\s+(?:called|named)\s+{CLIENT_NAME}",
        ),
        "Find the client Rosen",
    ),
    Lookup(
        "list_open_orders",
        "Orders that may still trade, of the book or of one client",
        "wealth.orders.read",
        list_open_orders,
        PerhapsNamed,
        phrases(
            rf"\b(?:open|pending) orders?\s+(?:for|of|from)\s+(?!my|the|all|our|this){CLIENT_NAME}",
            r"\b(?:open|pending) orders?\b",
            r"\borders? (?:is|are) (?:still )?(?:open|pending)\b",
        ),
        "Which orders are open?",
    ),
    Lookup(
        "count_orders",
        "How many orders there are, by status",
        "wealth.orders.read",
        count_orders,
        phrases=phrases(
            rf"\b{HOW_MANY}orders{IN_BOOK}{END}",
            rf"^\s*(?:and|what about)\s+(?:the\s+|my\s+)?orders{END}",
            r"\borders by status\b",
        ),
        example="And orders?",
    ),
    Lookup(
        "list_due_reviews",
        "Client reviews that are overdue or due soon",
        "wealth.book.ask",
        list_due_reviews,
        Within,
        phrases(
            r"\breviews?\b.*\b(?:within|in|next)\s+(?:the\s+)?(?:next\s+)?(?P<days>\d{1,3}) days",
            r"\breviews?\b.*\b(?:due|overdue|upcoming|coming up|soon)\b",
            r"\b(?:due|overdue|upcoming|next)\b.*\breviews?\b",
        ),
        "Which reviews are due in the next 30 days?",
    ),
    Lookup(
        "list_lapsed_contacts",
        "Clients not contacted for longer than their service tier promises",
        "wealth.book.ask",
        list_lapsed_contacts,
        phrases=phrases(
            r"\b(?:lapsed|neglected|overdue) (?:contacts?|clients?)\b",
            r"(?:\bnot|n['\u2019]t|\bnever)\b.*\b(?:contact(?:ed)?|call(?:ed)?|spoken|talked|heard)\b",
            r"\bwho(?:m)? (?:should|must) i (?:call|contact)\b",
        ),
        example="Whom have I not contacted for too long?",
    ),
    Lookup(
        "list_birthdays",
        "Clients with a birthday soon",
        "wealth.book.ask",
        list_birthdays,
        Within,
        phrases(r"\bbirthdays?\b.*?\b(?P<days>\d{1,3}) days", r"\bbirthdays?\b"),
        "Who has a birthday soon?",
    ),
    Lookup(
        "list_opportunities",
        "The most urgent findings of the growth scans",
        "wealth.opportunities.read",
        list_opportunities,
        Top,
        phrases(
            r"\btop (?P<count>\d{1,2}) opportunit",
            r"\bopportunit(?:y|ies)\b",
            r"\bwhat should i do (?:next|first|today)\b",
        ),
        "What are my top 5 opportunities?",
    ),
    Lookup(
        "sum_net_worth",
        "Stated net worth of all clients, by currency",
        "wealth.book.ask",
        sum_net_worth,
        phrases=phrases(
            r"\b(?:total|overall|combined|aggregate) net worth\b",
            r"\bnet worth of (?:my|all|our|the)\b.*\b(?:clients|book)\b",
            r"\bhow much are (?:my|all|our) clients worth\b",
        ),
        example="What is the total net worth of my clients?",
    ),
    Lookup(
        "describe_client",
        "One client: contact, status, risk, KYC, next review, last contact, open orders, notes",
        "wealth.clients.read",
        describe_client,
        PerhapsNamed,
        phrases(
            r"\b(?:about|of|is|on|for|summari[sz]e|describe) (?:this|the) client\s*[?.!]*$",
            rf"\b(?:tell me about|overview (?:of|for)|summary (?:of|for)|summari[sz]e|profile of|details (?:of|on|for)"
            rf"|brief me on|prepare me for|describe|who is)\s+(?:my\s+)?(?:the\s+)?(?:client\s+)?{CLIENT_NAME}",
        ),
        "Tell me about Nadia Rosen",
    ),
)
