"""The system itself: is it well, what does it offer, what is it doing. For people, orchestrators and monitoring.

probe: a bounded question to a dependency whose answer is kept for a moment. heartbeat: what a worker leaves in Redis.
monitor: the view on the queues at `/saq`. ticket: what carries an administrator's login into a browser, once.
"""
