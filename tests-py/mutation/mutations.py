"""What is broken on purpose: one lock, recheck, order or limit at a time, and who must notice."""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    """A change of one function of the extension, and the tests of which one must fail then."""

    name: str
    function: str
    old: str
    new: str
    tests: tuple[str, ...]


def _sql(*names: str) -> tuple[str, ...]:
    return tuple(f"tests-sql/{name}.sql" for name in names)


def _pair(scene: str, first: str, second: str) -> str:
    test = "tests-py/races/test_every_pair_of_calls.py::test_two_calls_stopped_at_every_row"
    return f"{test}[{scene}: {first} - {second}]"


OUTCOMES = ("tests-py/outcomes/test_every_outcome.py",)
CLAIMS = ("tests-py/races/test_claims.py",)
MEETINGS = ("tests-py/races/test_interleavings.py",)
JOINS = ("tests-py/races/test_joins.py",)
DEFINITIONS = ("tests-py/races/test_definitions.py",)
UNDER_LOAD = ("tests-py/mend/test_repairing_under_load.py",)
MODEL = ("tests-py/model/test_machine.py",)

CLAIMING = [
    Mutation(
        "a claim does not lock the messages it reads",
        "_read_messages",
        "      limit $2\n      for update skip locked",
        "      limit $2",
        CLAIMS,
    ),
    Mutation(
        "a claim waits for messages",
        "_read_messages",
        "for update skip locked",
        "for update",
        CLAIMS,
    ),
    Mutation(
        "a claim takes any visible message, not the one that waits longest",
        "_read_messages",
        "      order by q.vt\n",
        "      order by q.msg_id desc\n",
        _sql("task/what_has_been_visible_longest_is_claimed_first"),
    ),
    Mutation(
        "a claim reads the run without locking it",
        "_hold_messages",
        "where l.id = m.run_id\n    for key share skip locked",
        "where l.id = m.run_id\n    limit 1",
        MEETINGS,
    ),
    Mutation(
        "a claim waits for the run",
        "_hold_messages",
        "for key share skip locked",
        "for key share",
        CLAIMS,
    ),
    Mutation(
        "a claim reads the task without locking it",
        "_hold_messages",
        "m.task_index)\n    for update skip locked",
        "m.task_index)\n    limit 1",
        MEETINGS,
    ),
    Mutation(
        "a claim waits for the task",
        "_hold_messages",
        "m.task_index)\n    for update skip locked",
        "m.task_index)\n    for update",
        CLAIMS,
    ),
    Mutation(
        "a claim believes a message that its task does not name",
        "_hold_messages",
        "        when t.message_id <> m.msg_id or t.queue <> p_queue then 'foreign'\n",
        "",
        _sql("task/a_message_that_is_not_the_one_its_task_names_is_archived"),
    ),
    Mutation(
        "a claim hands out tasks that have ended",
        "_hold_messages",
        "        when t.status not in ('queued', 'started') then 'drop'\n",
        "",
        _sql("task/a_message_of_an_ended_task_is_dropped"),
    ),
    Mutation(
        "a claim hands out tasks of a run that has ended",
        "_hold_messages",
        "when w.step_type <> 'callback' and r.status not in ('started', 'paused') then 'drop'",
        "when false then 'drop'",
        _sql("task/a_message_of_an_ended_run_is_dropped"),
    ),
    Mutation(
        "a claim hands out tasks of a paused run",
        "_hold_messages",
        "        when w.step_type <> 'callback' and r.status = 'paused' then 'park'\n",
        "",
        _sql("task/a_paused_runs_messages_are_parked"),
    ),
    Mutation(
        "every lease that ran out has timed out",
        "_hold_messages",
        "m.vt < t.started_at + w.timeout",
        "m.vt < t.started_at",
        _sql("task/a_lost_lease_counts_apart_from_failures"),
    ),
    Mutation(
        "no lease that ran out has timed out",
        "_hold_messages",
        "when t.status = 'started' and m.vt < t.started_at + w.timeout then 'lost'",
        "when t.status = 'started' then 'lost'",
        _sql("task/an_attempt_past_its_deadline_is_a_failure_of_kind_timeout"),
    ),
    Mutation(
        "a task lost before is handed out with others",
        "_claim_messages",
        "h.outcome = 'claim' and h.losses > 0) then",
        "h.outcome = 'claim' and h.losses > 1000) then",
        _sql("task/a_task_lost_before_is_handed_out_alone"),
    ),
    Mutation(
        "a claim forgets that a lapse of its own has ended the run",
        "_claim_messages",
        "where h.outcome in ('lost', 'timeout')) then",
        "where h.outcome = 'none') then",
        _sql("task/a_claim_that_ends_a_run_hands_out_as_much_of_others_as_was_asked"),
    ),
    Mutation(
        "an attempt after a failure has the token of the one before",
        "_claim_messages",
        "floor(random() * 9007199254740991)::bigint",
        "coalesce(h.lease_token, floor(random() * 9007199254740991)::bigint)",
        _sql("task/every_report_has_the_outcome_its_task_and_token_call_for"),
    ),
    Mutation(
        "a claim does not count",
        "_claim_messages",
        "h.attempts + 1",
        "h.attempts",
        _sql("task/max_attempts_failures_fail_the_run"),
    ),
    Mutation(
        "a lease may outlast the deadline",
        "_claim_messages",
        "p_now + least(p_lease, k.timeout)",
        "p_now + p_lease",
        _sql("task/the_timeout_caps_the_lease"),
    ),
    Mutation(
        "what is read is not counted as read",
        "_claim_messages",
        "least(p_lease, k.timeout)), 1)",
        "least(p_lease, k.timeout)), 0)",
        _sql(
            "task/a_lost_lease_counts_apart_from_failures",
            "task/claiming_starts_a_task_for_a_worker",
        ),
    ),
    Mutation(
        "a claim hands out what a later round of its own has cancelled",
        "_hand_out",
        "      and t.status = 'started'\n",
        "",
        _sql("task/a_task_whose_run_a_later_round_of_its_claim_ends_is_not_handed_out"),
    ),
    Mutation(
        "a claim leaves unfinished ends alone",
        "claim_tasks",
        "  perform quantumflow._finish_ends(10, v_now);\n",
        "",
        _sql("task/a_claim_finishes_ends_that_were_left_unfinished"),
    ),
    Mutation(
        "a copied database claims",
        "claim_tasks",
        "  perform quantumflow._refuse_copy();\n",
        "",
        ("tests-py/backup/test_clone_guard.py",),
    ),
    Mutation(
        "a message whose task is busy stays in front of the others",
        "_put_aside",
        "p_now + interval '100 ms'",
        "p_now",
        CLAIMS,
    ),
    Mutation(
        "a dropped message leaves its task as it is",
        "_settle_messages",
        "and h.status in ('queued', 'started')",
        "and h.status = 'none'",
        _sql("task/a_message_of_an_ended_run_is_dropped"),
    ),
    Mutation(
        "a claim waits for the worker's row",
        "_worker_seen",
        "for no key update skip locked",
        "for no key update",
        CLAIMS,
    ),
]

LEASES = [
    Mutation(
        "a lapse does not ask whether its run goes on",
        "_settle_lapsed",
        "        and r.status in ('started', 'paused')\n",
        "",
        _sql("task/a_sweep_that_ends_a_run_leaves_nothing_of_it"),
    ),
    Mutation(
        "one loss more than max_lost",
        "_settle_lapsed",
        "v_task.losses + 1 >= v_task.max_lost",
        "v_task.losses + 1 > v_task.max_lost",
        _sql("task/max_lost_losses_fail_the_run"),
    ),
    Mutation(
        "one timeout more than max_attempts",
        "_settle_lapsed",
        "v_task.failures >= v_task.max_attempts",
        "v_task.failures > v_task.max_attempts",
        (*_sql("task/an_attempt_past_its_deadline_is_a_failure_of_kind_timeout"), *MODEL),
    ),
    Mutation(
        "a loss counts as a failure",
        "_settle_lapsed",
        "losses = t.losses + (v_task.kind = 'lost')::int",
        "losses = t.losses",
        _sql("task/a_lost_lease_counts_apart_from_failures"),
    ),
    Mutation(
        "a lost lease keeps its token",
        "_settle_lapsed",
        "      lease_token = null,\n",
        "",
        OUTCOMES,
    ),
    Mutation(
        "a lost task goes to the end of the queue",
        "_settle_lapsed",
        "else v_task.queued_at - make_interval(secs => v_task.priority)",
        "else p_now",
        _sql("task/a_lost_task_gets_its_place_in_the_queue_back"),
    ),
    Mutation(
        "a lapse that ends a run does not hold step and run",
        "_settle_lapsed",
        "and not quantumflow._hold_for_failure(v_task.run_id, v_task.step_slug)",
        "and false",
        (_pair("moving", "sweep", "complete"), *CLAIMS),
    ),
    Mutation(
        "a lapse that ends a run waits for the step",
        "_hold_for_failure",
        "for no key update skip locked",
        "for no key update",
        CLAIMS,
    ),
    Mutation(
        "a lapse that ends a run waits for the run",
        "_hold_for_failure",
        "for update skip locked",
        "for update",
        CLAIMS,
    ),
    Mutation(
        "a sweep takes messages that were never read",
        "_read_lapsed",
        "    where q.read_ct > 0\n",
        "",
        MEETINGS,
    ),
    Mutation(
        "a sweep waits for messages",
        "_read_lapsed",
        "for update skip locked",
        "for update",
        CLAIMS,
    ),
    Mutation(
        "a sweep does not look again whether the lease has run out",
        "_read_lapsed",
        "        and q.vt <= $1\n",
        "",
        MEETINGS,
    ),
    Mutation(
        "a sweep leaves unfinished ends alone",
        "sweep",
        "quantumflow._finish_ends(1000, v_now)",
        "0",
        _sql("task/a_sweep_finishes_ends_that_were_left_unfinished"),
    ),
    Mutation(
        "an extension does not look at the token again when it has the task",
        "extend_leases",
        "        and t.lease_token = l.lease_token\n",
        "",
        MEETINGS,
    ),
    Mutation(
        "an extension does not look at the status again when it has the task",
        "extend_leases",
        "        and t.status = 'started'\n",
        "",
        MEETINGS,
    ),
    Mutation(
        "an extension waits for the task",
        "extend_leases",
        "for no key update of t skip locked",
        "for no key update of t",
        MEETINGS,
    ),
    Mutation(
        "an extension goes past the deadline",
        "extend_leases",
        "least(v_now + extend_leases.lease, l.deadline) as vt",
        "v_now + extend_leases.lease as vt",
        _sql(
            "task/extending_a_lease_keeps_the_task", "task/extending_says_what_each_lease_is_worth"
        ),
    ),
    Mutation(
        "an extension shortens a lease",
        "_extend_vt",
        "        and m.vt < k.vt\n",
        "",
        _sql("task/extending_a_lease_keeps_the_task"),
    ),
    Mutation(
        "an extension waits for the message",
        "_extend_vt",
        "for update skip locked",
        "for update",
        (_pair("moving", "extend", "extend"),),
    ),
    Mutation(
        "a lease in an ended run is held",
        "_leases",
        "and r.status not in ('started', 'paused') then 'cancelled'",
        "and false then 'cancelled'",
        OUTCOMES,
    ),
    Mutation(
        "any token holds the lease",
        "_leases",
        " or t.lease_token is distinct from k.token then 'lost'",
        " then 'lost'",
        OUTCOMES,
    ),
    Mutation(
        "a task is not locked for its own transaction",
        "hold_task",
        "  for update;",
        "  ;",
        (_pair("moving", "hold", "complete"), "tests-py/client/test_transaction.py"),
    ),
    Mutation(
        "a task is held past its deadline",
        "hold_task",
        "if v_left <= interval '0' then",
        "if false then",
        OUTCOMES,
    ),
]

REPORTS = [
    Mutation(
        "a report does not lock its task",
        "_hold_reported",
        "(k.run_id, k.step_slug, k.task_index)\n        for update",
        "(k.run_id, k.step_slug, k.task_index)\n        limit 1",
        MEETINGS,
    ),
    Mutation(
        "reports lock tasks in the order in which they came",
        "_hold_reported",
        "        order by p.run_id, p.step_slug, p.task_index, p.ord\n        offset 0",
        "        order by p.ord\n        offset 0",
        JOINS,
    ),
    Mutation(
        "a task is completed twice by one batch",
        "_hold_reported",
        "        when v.is_live and v.place > 1 then 'duplicate'\n",
        "",
        _sql("task/outcomes_are_decided_in_their_order_of_precedence_also_in_a_batch"),
    ),
    Mutation(
        "any token reports a started task",
        "_hold_reported",
        "coalesce(t.lease_token = k.token and t.status = 'started', false)",
        "coalesce(t.status = 'started', false)",
        OUTCOMES,
    ),
    Mutation(
        "a token reports a task that is queued again",
        "_hold_reported",
        "coalesce(t.lease_token = k.token and t.status = 'started', false)",
        "coalesce(t.lease_token = k.token and t.status in ('queued', 'started'), false)",
        OUTCOMES,
    ),
    Mutation(
        "a report without a token is one by hand",
        "_parse_reports",
        "coalesce(jsonb_typeof(e.report -> 'lease_token') = 'null', false)",
        "e.report ->> 'lease_token' is null",
        OUTCOMES,
    ),
    Mutation(
        "a lease that was lost has reported",
        "_has_failed_with",
        "      and f.kind = 'error'\n",
        "",
        OUTCOMES,
    ),
    Mutation(
        "a report of a cancelled task is a duplicate",
        "_hold_reported",
        "when v.is_known and v.status in ('cancelled', 'skipped') then 'run_ended'",
        "when v.is_known and v.status = 'skipped' then 'run_ended'",
        OUTCOMES,
    ),
    Mutation(
        "one failure more than max_attempts",
        "_hold_reported",
        "v.failures >= v.max_attempts",
        "v.failures > v.max_attempts",
        _sql("task/max_attempts_failures_fail_the_run"),
    ),
    Mutation(
        "losses spend the attempts",
        "_hold_reported",
        "t.attempts + (t.status = 'queued')::int - t.losses as failures",
        "t.attempts + (t.status = 'queued')::int as failures",
        (*_sql("task/a_lost_lease_counts_apart_from_failures"), *MODEL),
    ),
    Mutation(
        "failing by hand spends no attempt",
        "_hold_reported",
        "t.attempts + (t.status = 'queued')::int - t.losses as failures",
        "t.attempts - t.losses as failures",
        OUTCOMES,
    ),
    Mutation(
        "a map is given what is no array",
        "_hold_reported",
        "v.feeds_map and v.output_type is distinct from 'array'",
        "v.feeds_map and false",
        _sql("task/an_output_that_a_map_cannot_map_over_fails_the_run_at_once"),
    ),
    Mutation(
        "a report does not lock its step",
        "_hold_steps",
        "    for no key update\n",
        "    limit 1\n",
        JOINS,
    ),
    Mutation(
        "reports lock steps in the order in which they came",
        "_hold_steps",
        "    order by h.run_id, h.step_slug\n    offset 0",
        "    order by min(h.ord)\n    offset 0",
        JOINS,
    ),
    Mutation(
        "a report that ends a step shares the run with others",
        "complete_tasks",
        "when exists (select from unnest(v_steps) s where s.ends) then 'no key update'",
        "when exists (select from unnest(v_steps) s where s.ends) then 'key share'",
        JOINS,
    ),
    Mutation(
        "reports lock runs in the order in which they came",
        "_hold_runs",
        "    select distinct h.run_id\n    from unnest(p_held) h\n"
        "    where h.outcome in ('acts', 'violates', 'fails')\n    order by h.run_id);",
        "    select h.run_id\n    from unnest(p_held) h\n"
        "    where h.outcome in ('acts', 'violates', 'fails')\n"
        "    group by h.run_id\n    order by min(h.ord));",
        JOINS,
    ),
    Mutation(
        "a report does not look at the run again when it has it",
        "_hold_runs",
        "          and r.status not in ('started', 'paused')\n          then 'run_ended'",
        "          and r.status = 'none'\n          then 'run_ended'",
        MEETINGS,
    ),
    Mutation(
        "a complete that comes too late leaves its task as it is",
        "complete_tasks",
        "    perform quantumflow._cancel_late(v_held);\n",
        "",
        (_pair("moving", "complete", "fail right"), *OUTCOMES),
    ),
    Mutation(
        "a fail that comes too late leaves its task as it is",
        "fail_tasks",
        "    perform quantumflow._cancel_late(v_held);\n",
        "    null;\n",
        MEETINGS,
    ),
    Mutation(
        "a release that comes too late leaves its task as it is",
        "release_tasks",
        "    perform quantumflow._cancel_late(v_held);\n",
        "    null;\n",
        MEETINGS,
    ),
    Mutation(
        "a complete that comes too late counts for its step",
        "complete_tasks",
        "    v_steps := quantumflow._without_ended_runs(v_steps);\n",
        "",
        MEETINGS,
    ),
    Mutation(
        "a batch that fails a run retries the other tasks of it",
        "fail_tasks",
        "      v_held[n].outcome := 'run_ended';\n",
        "      null;\n",
        _sql("task/a_batch_that_fails_a_run_ends_its_other_tasks"),
    ),
    Mutation(
        "a failure in a paused run is not parked",
        "_record_failures",
        "case h.run_status when 'paused' then 'infinity' else t.queued_at end as vt",
        "t.queued_at as vt",
        _sql("task/a_failure_in_a_paused_run_is_recorded_and_parked"),
    ),
    Mutation(
        "a failed task's message is not delayed",
        "_record_failures",
        "    perform quantumflow._redelay(v_batch.queue, v_batch.msg_ids, v_batch.vts);\n",
        "    null;\n",
        _sql("task/a_failure_is_retried_after_its_delay_with_the_same_message"),
    ),
    Mutation(
        "a retry's delay grows with losses too",
        "_record_failures",
        "h.attempts + (h.status = 'queued')::int - h.losses)) as delay",
        "h.attempts + (h.status = 'queued')::int)) as delay",
        _sql("task/a_loss_makes_no_retry_wait_longer"),
    ),
    Mutation(
        "a re-delay does not wait for the claim that has the message",
        "_redelay",
        "      where m.msg_id = k.msg_id\n      for update\n",
        "      where m.msg_id = k.msg_id\n      limit 1\n",
        MEETINGS,
    ),
    Mutation(
        "a release spends the attempt",
        "release_tasks",
        "attempts = t.attempts - 1",
        "attempts = t.attempts",
        _sql("task/releasing_a_task_gives_the_attempt_back"),
    ),
    Mutation(
        "a release keeps the token",
        "release_tasks",
        "        lease_token = null,\n",
        "",
        (*_sql("task/every_report_has_the_outcome_its_task_and_token_call_for"), *MODEL),
    ),
    Mutation(
        "a completed map's outputs are in no order",
        "_gather_map",
        "jsonb_agg(t.output order by t.task_index)",
        "jsonb_agg(t.output order by t.output desc)",
        _sql("task/a_maps_outputs_are_gathered_in_index_order"),
    ),
]

RUNS = [
    Mutation(
        "a step that waits for two that end in one call counts one of them",
        "_release_dependents",
        "u.step_slug, count(*)::int as done_deps",
        "u.step_slug, 1 as done_deps",
        _sql("task/a_step_with_several_dependencies_starts_once"),
    ),
    Mutation(
        "steps of a paused run start",
        "_release_dependents",
        "l.remaining_deps = k.done_deps and r.status = 'started' as becomes_ready",
        "l.remaining_deps = k.done_deps as becomes_ready",
        (*_sql("run/start_ready_steps_starts_what_a_pause_held_back"), *MODEL),
    ),
    Mutation(
        "steps that end in one call count as one",
        "_count_finished_steps",
        "select f.run_id, count(*)::int as finished",
        "select f.run_id, 1 as finished",
        (
            *_sql(
                "task/a_batch_may_hold_results_of_any_runs",
                "task/a_step_with_several_dependencies_starts_once",
            ),
            *MODEL,
        ),
    ),
    Mutation(
        "a retried map counts the tasks that it kept again",
        "_step_became_ready",
        "remaining_tasks = m.items - m.kept",
        "remaining_tasks = m.items",
        (*_sql("run/retrying_a_map_keeps_its_finished_tasks"), *MODEL),
    ),
    Mutation(
        "a second failure replaces the first",
        "_fail_run",
        "    and r.status in ('started', 'paused');",
        "    ;",
        _sql("task/the_first_final_failure_of_a_run_is_the_one_it_reports"),
    ),
    Mutation(
        "whatever stops a run waits for its tasks",
        "_stop_runs",
        "and l.step_slug not in ('_on_complete', '_on_failure')\n      for update skip locked",
        "and l.step_slug not in ('_on_complete', '_on_failure')\n      for update",
        (_pair("moving", "complete", "cancel"),),
    ),
    Mutation(
        "whatever stops a run waits for its steps",
        "_stop_runs",
        "for no key update skip locked",
        "for no key update",
        (_pair("moving", "complete", "cancel"),),
    ),
    Mutation(
        "what was skipped when a run ended is not recorded",
        "_stop_runs",
        "where quantumflow._has_live_rows(u.run_id)",
        "where false",
        CLAIMS,
    ),
    Mutation(
        "a task is cancelled although its message had to stay",
        "_stop_runs",
        "where h.message_id <> all (v_busy)\n      and t.ctid = h.tid",
        "where t.ctid = h.tid",
        CLAIMS,
    ),
    Mutation(
        "whatever stops a run waits for its messages",
        "_remove_free_messages",
        "for update skip locked",
        "for update",
        CLAIMS,
    ),
    Mutation(
        "an end counts as finished though something is left",
        "_finish_ends",
        "    and not quantumflow._has_live_rows(e.run_id)",
        "",
        CLAIMS,
    ),
    Mutation(
        "finishing an end waits for the run",
        "_finish_ends",
        "      and r.status in ('completed', 'failed', 'cancelled')\n    for update skip locked",
        "      and r.status in ('completed', 'failed', 'cancelled')\n    for update",
        (_pair("unfinished", "claim", "sweep"),),
    ),
    Mutation(
        "finishing an end waits for its record",
        "_finish_ends",
        "    limit p_runs\n    for update skip locked",
        "    limit p_runs\n    for update",
        (_pair("unfinished", "claim", "sweep"),),
    ),
    Mutation(
        "finishing an end stops a callback",
        "_stop_runs",
        "        and l.step_slug not in ('_on_complete', '_on_failure')\n",
        "",
        _sql("task/finishing_an_end_leaves_callbacks_alone"),
    ),
    Mutation(
        "a run is steered without being locked",
        "_hold_run",
        "  for update;",
        "  ;",
        MEETINGS,
    ),
    Mutation(
        "a run is steered beside reports that have it",
        "_hold_run",
        "  for update;",
        "  for no key update;",
        (_pair("paused", "fail once", "resume"),),
    ),
    Mutation(
        "a pause leaves the messages in the queue",
        "pause_run",
        "array_fill('infinity'::timestamptz",
        "array_fill('-infinity'::timestamptz",
        _sql("run/a_paused_run_hands_out_nothing_until_it_is_resumed"),
    ),
    Mutation(
        "a resumed run's messages stay parked",
        "resume_run",
        "  perform quantumflow._show_queued(v_run, v_now);\n",
        "",
        (*_sql("run/a_paused_run_hands_out_nothing_until_it_is_resumed"), *MODEL),
    ),
    Mutation(
        "a resumed run starts no steps",
        "resume_run",
        "  perform quantumflow._start_ready(v_run, v_now);\n",
        "",
        (
            *_sql(
                "run/resuming_a_run_ends_it_when_nothing_is_left",
                "run/pausing_does_not_disturb_what_workers_have",
            ),
            *MODEL,
        ),
    ),
    Mutation(
        "ready steps are started without holding the run",
        "start_ready_steps",
        "  for no key update;",
        "  ;",
        MEETINGS,
    ),
    Mutation(
        "a run at rest is changed without its tasks",
        "_hold_whole_runs",
        "  order by t.run_id, t.step_slug, t.task_index\n  for update;",
        "  order by t.run_id, t.step_slug, t.task_index\n  ;",
        (
            _pair("unfinished", "retry run", "complete"),
            _pair("unfinished", "complete", "retry run"),
        ),
    ),
    Mutation(
        "a retry leaves the callback of before",
        "_forget_tasks",
        "        and t.status in ('queued', 'started')\n      returning t.queue, t.message_id\n",
        "        and t.status = 'none'\n      returning t.queue, t.message_id\n",
        (*_sql("run/retrying_cancels_a_callback_that_is_still_to_be_done"), *MODEL),
    ),
    Mutation(
        "a retry leaves the record of an unfinished end",
        "retry_run",
        "  delete from quantumflow._unfinished_ends e\n  where e.run_id = v_run.id;\n",
        "",
        _sql("run/a_cancelled_run_can_be_retried_while_its_end_is_unfinished"),
    ),
    Mutation(
        "a retry waits for dependencies that are done",
        "retry_run",
        "cardinality(array(select unnest(w.dependencies) intersect select unnest(v_steps)))",
        "cardinality(w.dependencies)",
        (*_sql("run/retrying_a_failed_run_keeps_what_was_finished"), *MODEL),
    ),
    Mutation(
        "a run that goes on is retried or deleted",
        "_refuse_moving_run",
        "if p_run.status in ('started', 'paused') then",
        "if false then",
        (
            *_sql("run/a_run_that_goes_on_is_not_deleted", "run/retrying_is_refused_with_a_reason"),
            *MODEL,
        ),
    ),
    Mutation(
        "a run whose callback is still to be done is deleted",
        "_refuse_moving_run",
        "if v_callback is not null and p_verb = 'deleted' then",
        "if false then",
        (*_sql("run/a_run_that_goes_on_is_not_deleted"), *MODEL),
    ),
    Mutation(
        "a call on a run at rest waits for the tasks of one that goes on",
        "_hold_resting_run",
        "  if found then\n",
        "  if false then\n",
        MEETINGS,
    ),
    Mutation(
        "a call on a run at rest does not look at it again when it has it",
        "_hold_resting_run",
        "  end if;\n  perform quantumflow._refuse_moving_run(v_run, p_verb);\n",
        "  end if;\n",
        (_pair("failed", "retry run", "delete"), _pair("failed", "retry run", "retry run")),
    ),
    Mutation(
        "prune does not look again at runs it had to wait for",
        "prune",
        "  from quantumflow._hold_whole_runs(v_run_ids) r\n"
        "  where coalesce(r.completed_at, r.failed_at, r.cancelled_at) < v_before\n"
        "    and quantumflow._open_callback(r.id) is null;",
        "  from quantumflow._hold_whole_runs(v_run_ids) r;",
        (_pair("failed", "retry run", "prune"), _pair("failed", "prune", "retry run")),
    ),
    Mutation(
        "deleting a run leaves its messages",
        "_delete_runs",
        "    perform quantumflow._remove_messages(v_batch.queue, v_batch.msg_ids);\n",
        "    null;\n",
        (_pair("unfinished", "delete", "claim"),),
    ),
]

STARTS = [
    Mutation(
        "a start does not lock the workflow",
        "_start_runs",
        "  perform quantumflow._lock_flow(p_workflow_slug, false);\n",
        "",
        DEFINITIONS,
    ),
    Mutation(
        "a definition does not lock the workflow",
        "_store_definition",
        "  perform quantumflow._lock_flow(v_slug, true);\n",
        "",
        DEFINITIONS,
    ),
    Mutation(
        "add_step reads the definition without a lock",
        "add_step",
        "  perform quantumflow._lock_flow(add_step.workflow_slug, true);\n",
        "",
        DEFINITIONS,
    ),
    Mutation(
        "delete_flow does not lock the workflow",
        "delete_flow",
        "  perform quantumflow._lock_flow(delete_flow.workflow_slug, true);\n",
        "",
        DEFINITIONS,
    ),
    Mutation(
        "the first run does not freeze its version",
        "_start_runs",
        "    and v.frozen_at is null;",
        "    and false;",
        DEFINITIONS,
    ),
    Mutation(
        "a queue is made without a lock",
        "_ensure_queue",
        "  perform pg_advisory_xact_lock(hashtext('quantumflow.queue'), hashtext(p_queue));\n",
        "",
        DEFINITIONS,
    ),
    Mutation(
        "an idempotency key is looked up once",
        "start_flow",
        "v_found := coalesce(v_found, quantumflow._run_of_key("
        "start_flow.workflow_slug, start_flow.idempotency_key));",
        "null;",
        DEFINITIONS,
    ),
]

MENDING = [
    Mutation(
        "a copy of a database may claim",
        "claim_tasks",
        "  perform quantumflow._refuse_copy();\n",
        "",
        _sql("mend/a_copy_of_a_database_hands_out_no_task_until_it_is_adopted"),
    ),
    Mutation(
        "a start does not record which database it is in",
        "_start_runs",
        "  perform quantumflow._record_identity();\n",
        "",
        ("tests-py/backup/test_clone_guard.py",),
    ),
    Mutation(
        "a repair does not lock tasks that were made while it waited",
        "_hold_every_row",
        "      for update nowait;",
        "      limit 0;",
        UNDER_LOAD,
    ),
    Mutation(
        "a repair does not lock the run",
        "_repair_run",
        "quantumflow._hold_every_row(p_run_id);",
        "(select r from quantumflow.workflow_runs r where r.id = p_run_id);",
        UNDER_LOAD,
    ),
    Mutation(
        "a repair sends a message at once, whatever the priority, delay or pause",
        "_send_again",
        "        when r.status = 'paused' then 'infinity'\n"
        "        else quantumflow._visible_at(t.queued_at, r.priority, p_now)",
        "        else p_now",
        _sql("mend/repair_sends_new_messages_for_those_that_are_gone"),
    ),
    Mutation(
        "a started task that is sent again may time out",
        "_send_again",
        "least(p_now, t.started_at + w.timeout - interval '1 ms')",
        "p_now",
        _sql("mend/rebuild_queues_sends_every_live_task_its_message_again"),
    ),
    Mutation(
        "a sweep overlooks started tasks that were sent again",
        "_send_again",
        "  perform quantumflow._set_vt(s.queue, s.msg_ids, s.vts, 1)",
        "  perform quantumflow._set_vt(s.queue, s.msg_ids, s.vts, 0)",
        _sql("mend/repair_counts_the_lease_of_a_started_task_whose_message_is_gone_as_lost"),
    ),
    Mutation(
        "a repair recounts a run that has lost a row",
        "_find_problems",
        "bool_or(p.rule = 0 and p.remedy is null) over (partition by p.run_id)",
        "false",
        _sql("mend/repair_leaves_what_takes_a_decision"),
    ),
    Mutation(
        "a run that cannot be mended keeps the others from it",
        "_repair_runs",
        "      when others then",
        "      when lock_not_available then",
        _sql("mend/repair_mends_the_others_when_it_cannot_mend_a_run"),
    ),
    Mutation(
        "queues are rebuilt beside those who work",
        "_lock_all_work",
        "quantumflow._unfinished_ends\n    in exclusive mode;",
        "quantumflow._unfinished_ends\n    in access share mode;",
        ("tests-py/mend/test_rebuilding_queues.py",),
    ),
    Mutation(
        "a rebuilt queue keeps the columns of an older pgmq",
        "_renew_queue",
        "execute format('alter table pgmq.%I add column %I %s',"
        " v_column.queue_table, v_column.name, v_column.type);",
        "null;",
        _sql("mend/rebuild_queues_makes_queues_that_are_gone_or_of_another_make"),
    ),
    Mutation(
        "a rebuilt queue counts its messages from 1, beside an archive that has them",
        "_renew_queue",
        "    where a.last_id > nextval",
        "    where false and a.last_id > nextval",
        _sql("mend/rebuild_queues_makes_queues_that_are_gone_or_of_another_make"),
    ),
    Mutation(
        "a rebuilt queue drops what is somebody else's",
        "_renew_queue",
        "  if v_foreign is not null then",
        "  if false then",
        _sql("mend/rebuild_queues_sends_every_live_task_its_message_again"),
    ),
    Mutation(
        "check_state calls an unfinished end a problem",
        "_check_ends",
        "        and not exists ("
        "select from quantumflow._unfinished_ends e where e.run_id = t.run_id)\n",
        "",
        ("tests-py/mend/test_checking_under_load.py",),
    ),
]

MUTATIONS = [*CLAIMING, *LEASES, *REPORTS, *RUNS, *STARTS, *MENDING]
