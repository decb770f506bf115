"""Jobs are rows: `core.background_tasks` is the record, SAQ on Redis only wakes workers.

`registry` declares jobs, `models` holds the row, `rows` moves it, `queue` enqueues after commit,
`run` runs one attempt, `sweep` re-sends what Redis forgot, `worker` is the process.
"""
