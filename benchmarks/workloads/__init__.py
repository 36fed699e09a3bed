"""The workloads, W0 to W17."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.bench import Bench

from . import endurance, latency, payloads, sdk, starting, throughput


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload.

    Attributes:
        name: W0 to W17.
        title: What it is about.
        meaning: What its numbers mean, for the page.
        minutes: How long it took in full, on two processors.
        parts: What measures it.
    """

    name: str
    title: str
    meaning: str
    minutes: float
    parts: tuple[Callable[[Bench], None], ...]


WORKLOADS = [
    Workload(
        "W0",
        "pgmq alone",
        "Messages that pgmq's own functions send, read and delete (or archive), by the batch: the "
        "yardstick of all that is built on it.",
        1,
        (throughput.raw,),
    ),
    Workload(
        "W1",
        "Single-step runs",
        "Tasks a second, from the start of the first run to the end of the last. First SQL against "
        "SQL on one connection; then end to end, a Python process that starts the runs and works "
        "on them with handlers that do nothing.",
        5,
        (throughput.single, sdk.throughput),
    ),
    Workload(
        "W2",
        "Starting runs",
        "Runs started a second while nobody works: one by one from some clients at once, and by "
        "the hundred. The 20-step workflow shows what steps that cannot run yet cost.",
        1.5,
        (starting.rates,),
    ),
    Workload(
        "W3",
        "A chain of ten, alone",
        "How long one run takes when nothing else is going on: ten hand-offs from a step to the "
        "next. absurd and DBOS run the steps inside one process and store each result, which is "
        "as direct as it gets; every step of quantumflow may run elsewhere. With the SDK the "
        "worker is a thread of the process that starts the run; the time ends with the last "
        "handler.",
        2.5,
        (latency.chain_alone, sdk.chain),
    ),
    Workload(
        "W4",
        "Many chains at once",
        "Steps a second when many runs are under way, so that batches hold steps of many.",
        1.5,
        (throughput.chains,),
    ),
    Workload(
        "W5",
        "Diamonds",
        "One step, then two (or eight) side by side, then one that waits for them. Every join must "
        "fire exactly once.",
        1,
        (throughput.diamonds,),
    ),
    Workload(
        "W6",
        "One wide map",
        "Tasks a second of one run that maps over its input, with one worker and with four, each "
        "on a connection of its own; and with a step that waits for all outputs. What pgflow "
        "spends on a task grows with the map, so it is measured in three rounds only.",
        4.5,
        (throughput.maps,),
    ),
    Workload(
        "W7",
        "A very large map",
        "How long the call that starts it takes, how soon after that first tasks are handed out "
        "on the same connection, and items a second in all; also with a task for every 50 items.",
        2,
        (starting.large_map,),
    ),
    Workload(
        "W8",
        "A map of a map",
        "An array mapped, and the outputs mapped again: what is quadratic shows here. pgflow is "
        "faster at its default batch of ten than by the hundred; its published slow case reads all "
        "tasks at once, which is done only once, for it takes minutes. Growth is the slope of time "
        "over size, both logarithmic: 1 is linear.",
        4,
        (throughput.maps_of_maps,),
    ),
    Workload(
        "W9",
        "500 steps between two joins",
        "Steps a second of a workflow with a very wide layer.",
        2,
        (throughput.layer,),
    ),
    Workload(
        "W10",
        "Short runs beside a long map",
        "How long runs of one step take, started one by one, while a long map shares their queue "
        "and their only worker: in turn, so that each waits for what is left of the map; with a "
        "priority of 60, so that it goes before it; and without the map.",
        1,
        (latency.mixed,),
    ),
    Workload(
        "W11",
        "Failures",
        "One run in ten fails once, one in a hundred for good, after three attempts, all at once.",
        0.5,
        (throughput.retries,),
    ),
    Workload(
        "W12",
        "The first task in an idle process",
        "From the call that starts a run in one process to the handler's first line in another, "
        "which was waiting.",
        3,
        (sdk.first_task,),
    ),
    Workload(
        "W13",
        "Large outputs",
        "Bytes of write-ahead log that a byte of output adds, and megabytes a second.",
        1.5,
        (payloads.outputs,),
    ),
    Workload(
        "W14",
        "Full tables",
        "Tasks a second beside finished tasks, copies of rows of runs that were really done; the "
        "empty database is a fresh one each time.",
        6,
        (endurance.flat,),
    ),
    Workload(
        "W15",
        "Claims beside a backlog",
        "How long it takes to claim ten tasks when other messages are in the queue: delayed, "
        "queued, in flight, or of a command that the worker does not serve. raw pgmq is "
        "its read function.",
        1,
        (latency.claims,),
    ),
    Workload(
        "W16",
        "An old snapshot",
        "Runs arrive at half of the system's own peak rate, while somebody's old snapshot keeps "
        "all dead rows alive: the share of the offered rate that is served meanwhile, and how "
        "long it takes to catch up when the snapshot is gone (less than half a second's work is "
        "waiting then).",
        13,
        (endurance.held_snapshot,),
    ),
    Workload(
        "W17",
        "Crashes",
        "A worker is killed, and another, then the server crashes under the third: runs lost, "
        "tasks that were handled more than once, and seconds from the second kill to the end, "
        "with leases of two seconds.",
        1,
        (sdk.crash,),
    ),
]
