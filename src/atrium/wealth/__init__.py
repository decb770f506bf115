"""The practice of a wealth-advisory firm: advisors run their book, officers oversee it, clients do their own part.

Book: the clients of one advisor; every row of a client belongs to it. Team: advisors of a branch, who see each other's
books when the team shares them. Household: clients reported on and billed together. Order: an instruction to trade, in
FIX 4.4 words; unsolicited means that the client asked for it. Growth scan: a run of the rules engine over a book;
its findings are opportunities. Overseer: a compliance officer, who reads everything and changes little.
"""
