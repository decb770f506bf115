"""Frames to people who are connected: `publish` sends, `hub` forwards in every process, `sockets` is the door.

A frame is a JSON object with a `type`. A topic is whatever Redis channel carries frames; each user has one, and a
socket may follow more. Frames are a convenience on top of rows: whoever was not connected reads the rows over REST.
"""
