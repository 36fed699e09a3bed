"""The worker, a module a part.

`loop` asks `core` what to do next, and does it; `slots` call handlers, each in an `execution`,
which makes a report of what came of it.
"""
