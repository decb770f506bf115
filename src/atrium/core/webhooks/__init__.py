"""Outgoing webhooks: what happened to records is told to addresses that their owners named.

A *webhook* is such an address with the events that it wants; an *event* is a change of the change log under its public
name; a *delivery* is one event for one webhook, first a row and then a request. The *dispatcher* makes deliveries out
of the chain of changes, the *sender* brings them to their *targets*, in order for each webhook and never more than one
at a time.
"""
