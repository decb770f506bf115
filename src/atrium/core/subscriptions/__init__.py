"""Changes as they happen: `/ws/changes` lets a caller subscribe to what a REST list shows, and talk about a record.

PostgreSQL is the source: a process's `feed` reads the chain of changes above the position that it has; Redis only wakes
it. `views` is what a subscription sees, `evaluation` the one statement that decides which change reaches whom, `frames`
what is said about it. `catching` replays for who is behind, `topics` carries what callers say to each other.
"""
