"""Who somebody is and what they may do: accounts, roles, sessions and the tokens that carry both.

account       a row of `core.users`; one person may hold roles in several systems
role          a bundle of permissions; the database holds the one in force, manifests what a new one starts with
access token  a JWT for some minutes, read without a query; its `ver` and `sid` say what can take it back
session       a family of refresh tokens that follow one another; its id is the `sid` of its access tokens
lock          a pair of account and network that failed too often; other networks are not touched
"""
