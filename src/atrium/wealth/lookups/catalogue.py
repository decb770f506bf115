"""What can be asked, with the words in which people ask it."""

from atrium.core.lookups import Lookup, phrases
from atrium.wealth.lookups.book import (
    count_by_risk,
    count_clients,
    list_birthdays,
    list_clients,
    list_due_reviews,
    list_lapsed_contacts,
    list_opportunities,
    list_wealthiest,
    sum_assets,
    sum_net_worth,
)
from atrium.wealth.lookups.clients import describe_client, find_clients
from atrium.wealth.lookups.kyc import count_by_kyc, list_kyc_reviews, list_open_kyc
from atrium.wealth.lookups.orders import count_orders, list_open_orders
from atrium.wealth.lookups.own import describe_me, my_advisor, my_next_review, my_risk_profile
from atrium.wealth.lookups.questions import Named, PerhapsNamed, Top, WhichClients, Within
from atrium.wealth.models.clients import CLIENT_STATUSES

NOT_A_NAME = (
    r"(?!(?:my|our|your|his|her|their|the|this|that|these|those|all|any|an?|i|me|you|yourself|myself|we|us|it|they"
    r"|he|she|in|with|due|today|next|not|clients?|customers?|orders?|reviews?|opportunit\w+|something|somebody)\b)"
)
CLIENT_NAME = rf"{NOT_A_NAME}(?P<name>[^\W\d_][\w .,'\u2019&-]*?|C-\d+)\s*[?.!]*$"
CAPITAL = r"(?-i:(?![a-z\u00df-\u00ff]))"
A_CLIENT = rf"(?:(?:my\s+|the\s+|our\s+)?clients?\s+|the\s+{CAPITAL})?"
"""Before a name: "the" alone only before a capital, so that "the president" is nobody's name."""

RISKS = r"(?P<risk_profile>(?:moderately[ _-])?(?:conservative|aggressive)|moderate)"
KINDS = rf"(?:(?P<status>{'|'.join(CLIENT_STATUSES)})\s+)?(?:{RISKS}\s+)?"
WHOSE = r"(?:(?:of\s+)?(?:my|our|the)\s+)?"
HOW_MANY = rf"(?:how many|number of|count (?:of )?|total(?: number of)?)\s*{WHOSE}"
IN_BOOK = (
    r"(?:\s+(?:do|did) (?:i|we) (?:have|look after|advise|serve)|\s+are there|\s+have i got|\s+i have)?"
    r"(?:\s+(?:in (?:my|the|our) book|in total|overall|right now|now|today|currently))?"
)
END = r"\s*(?:[?.!]|$)"
DAYS = r"(?:within|in|for|over|during)\s+(?:the\s+)?(?:next\s+|coming\s+)?(?P<days>\d{1,3}) days"
SHOW = r"(?:show|list|give|find|get|see)(?:\s+me)?"
BOOK = r"(?:my|the|our|all(?: of)?(?: my| our| the)?)\s+(?:clients|book|customers)"

CONTACTED = r"(?:talk|speak|spoke|spoken|call|called|contact|contacted|meet|met|see|seen)(?: to| with)?"
DETAIL = (
    r"(?:(?:next|last) (?:review|contact)|review|e-?mail(?: address)?|phone(?: number)?|city|number|status"
    r"|kyc(?: status)?|risk profile)"
)
STAFF = "wealth.book.ask"

OF_THE_BOOK = (
    Lookup(
        "count_clients",
        "How many clients there are, in total or of a status or risk profile",
        STAFF,
        count_clients,
        WhichClients,
        phrases(
            rf"\b{HOW_MANY}{KINDS}(?:clients|customers){IN_BOOK}{END}",
            rf"\b{HOW_MANY}(?:clients|customers) are (?P<status>{'|'.join(CLIENT_STATUSES)}){END}",
            rf"\b{HOW_MANY}(?:clients|customers) are {RISKS}{END}",
            rf"\b{HOW_MANY}(?:clients are )?(?P<status>prospect)s{IN_BOOK}{END}",
            rf"^\s*(?:and|what about)\s+{WHOSE}{KINDS}clients{END}",
            rf"\bhow (?:big|large) is (?:my|the|our) book{END}",
            rf"\bsize of (?:my|the|our) book{END}",
        ),
        "How many clients do I have?",
    ),
    Lookup(
        "count_clients_by_risk",
        "How the clients are spread over the risk profiles",
        STAFF,
        count_by_risk,
        phrases=phrases(
            r"\bclients?\b.*\b(?:by|per|across|over)\s+(?:the\s+)?risk",
            r"\brisk (?:profiles? )?(?:distribution|breakdown|split|mix|spread)\b",
            rf"\brisk profiles? of {BOOK}{END}",
        ),
        example="How many clients do I have by risk profile?",
    ),
    Lookup(
        "list_due_reviews",
        "Client reviews that are overdue or due soon",
        STAFF,
        list_due_reviews,
        Within,
        phrases(
            rf"\breviews?\b.*\b{DAYS}",
            rf"\b(?:see|meet|reviewed?)\b.*\b{DAYS}",
            r"\breviews?\b.*\b(?:due|overdue|upcoming|coming up|soon|late)\b",
            r"\b(?:due|overdue|upcoming|next|late)\b.*\breviews?\b",
            r"\b(?:due|overdue) for (?:a |their )?review\b",
        ),
        "Which reviews are due in the next 30 days?",
    ),
    Lookup(
        "list_lapsed_contacts",
        "Clients not contacted for longer than their service tier promises",
        STAFF,
        list_lapsed_contacts,
        phrases=phrases(
            r"\b(?:lapsed|neglected|overdue|forgotten) (?:contacts?|clients?)\b",
            r"\b(?:clients?|who|whom)\b.*(?:\bnot|n['\u2019]t|\bnever)\b.*"
            r"\b(?:contact(?:ed)?|call(?:ed)?|spoken|talked|heard|reached)\b",
            r"\bwho(?:m)? (?:should|must|do|ought) i (?:need to |have to |to )?(?:call|contact|ring|phone|reach)\b",
            r"\b(?:which|what) clients (?:should|must|do) i (?:need to |have to )?(?:call|contact|ring|phone|reach)\b",
            r"\b(?:neglect(?:ed|ing)|lost touch with)\b|\bwho needs a call\b",
        ),
        example="Whom have I not contacted for too long?",
    ),
    Lookup(
        "list_opportunities",
        "The most urgent findings of the growth scans",
        "wealth.opportunities.read",
        list_opportunities,
        Top,
        phrases(
            r"\b(?:top|best|first) (?P<count>\d{1,2}) opportunit",
            r"\bopportunit(?:y|ies)\b",
            r"\bwhat (?:should|can|must) i (?:do|work on)(?: next| first| today| now)\b",
            r"\bwhat needs (?:my )?attention\b",
        ),
        "What are my top 5 opportunities?",
    ),
    Lookup(
        "describe_client",
        "One client: contact, status, risk, KYC, next review, last contact, open orders, notes",
        STAFF,
        describe_client,
        PerhapsNamed,
        phrases(
            r"\b(?:about|of|is|on|for|summari[sz]e|describe) (?:this|the) client\s*[?.!]*$",
            r"\b(?:tell me(?: more)? about|what do (?:you|we) know about|overview (?:of|for)|summary (?:of|for)"
            r"|summari[sz]e|profile of|details (?:of|on|for)|brief me on|prepare me for|describe|who is|who['\u2019]s"
            r"|information (?:on|about)|(?:latest |last )?notes? (?:on|about|for)|what(?:['\u2019]s| is) new with)"
            rf"\s+{A_CLIENT}{CLIENT_NAME}",
            rf"\b(?:show|open|pull up)(?: me)?\s+{CAPITAL}{CLIENT_NAME}",
            rf"\bwhen (?:did|have) (?:i|we) last\s+{CONTACTED}\s+{A_CLIENT}{CLIENT_NAME}",
            rf"\b(?:when|what)(?:\s+is|\s+was|['\u2019]s)\s+{NOT_A_NAME}(?P<name>[^\W\d_][\w .&-]*?)['\u2019]s?"
            rf"\s+{DETAIL}{END}",
        ),
        "Tell me about Nadia Rosen",
    ),
    Lookup(
        "find_clients",
        "Clients whose name contains the words",
        STAFF,
        find_clients,
        Named,
        phrases(
            rf"\b(?:find|search(?: for)?|look up|look for)\s+(?:me\s+)?{A_CLIENT}(?:called\s+|named\s+)?{CLIENT_NAME}",
            rf"\b(?:show|open|get)(?: me)?\s+(?:the\s+|my\s+)?clients?\s+(?:called\s+|named\s+)?{CLIENT_NAME}",
            rf"\bclients?\s+(?:called|named)\s+{CLIENT_NAME}",
        ),
        "Find the client Rosen",
    ),
    Lookup(
        "list_clients",
        "The clients by name",
        STAFF,
        list_clients,
        phrases=phrases(
            rf"\b{SHOW}\s+(?:{BOOK}|(?:all )?clients){END}",
            rf"^\s*(?:my|all) clients{END}",
            rf"\b(?:who|which) are (?:my|our|the) clients{END}",
            rf"\blist of (?:my |all |our )*clients{END}",
        ),
        example="List my clients",
    ),
    Lookup(
        "list_birthdays",
        "Clients with a birthday soon",
        STAFF,
        list_birthdays,
        Within,
        phrases(r"\bbirthdays?\b.*?\b(?P<days>\d{1,3}) days", r"\bbirthdays?\b"),
        "Who has a birthday soon?",
    ),
    Lookup(
        "list_open_kyc",
        "Clients whose KYC is not approved",
        STAFF,
        list_open_kyc,
        phrases=phrases(
            r"\b(?:open|missing|incomplete|expired|pending|unfinished|rejected) (?:kyc|know[ -]your[ -]customer)\b",
            r"\b(?:without|lack(?:s|ing)?|no)\b.*\bkyc\b",
            r"\bkyc\b.*\b(?:not (?:yet )?approved|missing|incomplete|expired|open|gaps?|problems?|rejected)\b",
        ),
        example="Which clients have no approved KYC?",
    ),
    Lookup(
        "list_kyc_reviews",
        "KYC reviews that are overdue or due soon",
        STAFF,
        list_kyc_reviews,
        Within,
        phrases(
            rf"\bkyc\b(?:\s+reviews?)?.*\b{DAYS}",
            r"\bkyc\b(?:\s+reviews?)?.*\b(?:due|overdue|upcoming|coming up)\b",
            r"\b(?:due|overdue|upcoming|next)\b.*\bkyc(?: reviews?)?\b",
        ),
        "Which KYC reviews are overdue?",
    ),
    Lookup(
        "count_by_kyc",
        "How the clients are spread over the KYC statuses",
        STAFF,
        count_by_kyc,
        phrases=phrases(
            r"\bclients?\b.*\b(?:by|per) kyc\b",
            r"\bkyc (?:status(?:es)?|overview|breakdown|summary)(?: (?:of|in|for|across) (?:my|the|our|all).*)?"
            rf"{END}",
        ),
        example="How many clients are there by KYC status?",
    ),
    Lookup(
        "sum_net_worth",
        "Stated net worth of all clients, by currency",
        STAFF,
        sum_net_worth,
        phrases=phrases(
            r"\b(?:total|overall|combined|aggregate) (?:net )?(?:worth|wealth)\b",
            r"\bnet worth of (?:my|all|our|the)\b.*\b(?:clients|book)\b",
            rf"\bhow much (?:is|are) {BOOK} worth\b",
            r"\b(?:what is|value of|worth of) (?:my|the|our) book(?: worth)?\b",
        ),
        example="What is the total net worth of my clients?",
    ),
    Lookup(
        "sum_assets",
        "Assets under management: not on record, the stated net worth is the nearest figure",
        STAFF,
        sum_assets,
        phrases=phrases(
            rf"^\s*(?:(?:what|how (?:much|big|large)) (?:is|are)\s+)?{WHOSE}(?:total |overall |current )*"
            rf"(?:aum|assets under management){IN_BOOK}{END}",
            r"\bhow much (?:do (?:i|we) manage|money do (?:i|we) (?:manage|look after)|aum do (?:i|we) have)\b",
        ),
        example="What is my total AUM?",
    ),
    Lookup(
        "list_wealthiest",
        "Clients with the highest stated net worth",
        STAFF,
        list_wealthiest,
        Top,
        phrases(
            r"\b(?:top|biggest|largest|richest|wealthiest) (?P<count>\d{1,2}) clients?\b",
            r"\b(?P<count>\d{1,2}) (?:biggest|largest|richest|wealthiest) clients?\b",
            rf"\b(?:biggest|largest|richest|wealthiest|top) clients?(?: by (?:net )?(?:worth|wealth))?{END}",
            r"\bclients? (?:with|has|have) the (?:highest|biggest|largest|most) (?:net )?(?:worth|wealth|money)\b",
        ),
        "Who are my 5 wealthiest clients?",
    ),
)

OF_ORDERS = (
    Lookup(
        "list_open_orders",
        "Orders that may still trade, of all that the caller sees or of one client",
        "wealth.orders.read",
        list_open_orders,
        PerhapsNamed,
        phrases(
            rf"\b(?:open|pending|working) orders?\s+(?:for|of|from|does|has)\s+{A_CLIENT}{CLIENT_NAME}",
            r"\b(?:open|pending|working|unfilled|outstanding) orders?\b",
            r"\borders? (?:\w+ )?(?:is|are) (?:still )?(?:open|pending|working|outstanding)\b",
            r"\b(?:has|have|did|is|was) my orders? (?:been |already )?(?:filled|executed|through|done|gone through)\b",
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
            rf"\b{HOW_MANY}orders (?:have i|did i|do i have|i have) ?(?:placed|made)?{END}",
            rf"^\s*(?:and|what about)\s+(?:the\s+|my\s+)?orders{END}",
            rf"\b(?:{SHOW}|what are)\s+(?:all )?(?:my|the|our) orders{END}|^\s*my orders{END}",
            rf"\b(?:what|which) orders (?:do (?:i|we) have|have (?:i|we)(?: placed| made)?|are there){END}",
            r"\borders by status\b",
            r"\b(?:status|state) of (?:my|all|our|the) orders\b",
        ),
        example="How many orders are there?",
    ),
)

OF_ONESELF = (
    Lookup(
        "my_next_review",
        "For clients about themselves: the day of the next review",
        "wealth.clients.read",
        my_next_review,
        phrases=phrases(
            r"\bmy (?:next |upcoming )?(?:annual )?review\b(?!s)",
            r"\bwhen (?:do|will) (?:i|we) (?:next )?(?:meet|see|talk to|speak (?:to|with))\b.*\badvis[eo]r\b",
        ),
        example="When is my next review?",
    ),
    Lookup(
        "my_advisor",
        "For clients about themselves: who advises them",
        "wealth.advisors.read",
        my_advisor,
        phrases=phrases(
            r"\b(?:who(?:['\u2019]s| is)|name of|contact) my (?:\w+ )?advis[eo]r\b",
            r"\bwho (?:advises|looks after|takes care of) me\b",
        ),
        example="Who is my advisor?",
    ),
    Lookup(
        "my_risk_profile",
        "For clients about themselves: their risk profile",
        "wealth.clients.read",
        my_risk_profile,
        phrases=phrases(r"\bmy risk (?:profile|tolerance|level|class)\b", r"\bhow (?:much risk|risky) am i\b"),
        example="What is my risk profile?",
    ),
    Lookup(
        "describe_me",
        "For clients about themselves: what is on record",
        "wealth.clients.read",
        describe_me,
        phrases=phrases(
            r"\b(?:know|have|stored?|on record|on file)\b.*\babout me\b",
            r"\bmy (?:contact )?(?:details|profile|data|record|status|kyc(?: status)?)\b",
            r"\b(?:tell me about|describe|summari[sz]e) (?:me|myself)\b",
        ),
        example="What do you know about me?",
    ),
)

# The first examples are those that an unanswered question suggests, so the book of an advisor comes before the self.
ALL = (*OF_THE_BOOK, *OF_ORDERS, *OF_ONESELF)
