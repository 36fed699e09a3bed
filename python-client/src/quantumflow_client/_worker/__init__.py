"""The worker, a module a part; each knows only those below it.

- `loop`: asks `core` what to do next, and does it
- `claims`: tasks that were handed out become executions
- `host`: what a worker does for the handlers that it runs
- `delivery`: reports are sent, and what is answered is told
- `renewal`: the thread that extends leases; `second`: the one that reports, where claims go apart
- `watch`: who blocks others, cannot begin, or does not end
- `slots`, `event_loop`: so many handlers at once, in threads and on a loop
- `execution`: a handler is called, and what came of it is told
- `hooks`, `resources`: functions around handlers, and what they are given by name
- `process`, `child`: a process for a handler, and what runs in it
- `health`: says on a port whether the worker goes on
- `inbox`: what happened in other threads, until the loop hears of it
- `core`, with `pace`, `apart`, `asides`: decides on `actions`, without clock, database or threads
- `leases`, `clock`, `offer`: what a worker holds, until when, and who it is
- `transaction`: a task's own
- `reports`, `refusals`: what is told of a handler's end, and what an error says of that
- `signals`: hears that the worker is to stop; of new work it is told by `_listener`
- `handlers`: functions, and what they ask for by name
- `steps`: what the flows at hand say that their tasks are given
- `fork`: what becomes of a child that a handler has forked
"""
