create table quantumflow.workflows (
  workflow_slug   text collate "C" not null,
  current_version int not null,
  created_at      timestamptz not null,
  policy          int,
  optimized_at    timestamptz,
  constraint workflows_pkey primary key (workflow_slug),
  constraint workflows_slug_well_formed check (workflow_slug ~ '^([A-Za-z]|_goal_[A-Za-z]|_plan_[0-9a-f])[A-Za-z0-9_]{0,127}$')
);

create unique index workflows_slug_unique_whatever_case on quantumflow.workflows (lower(workflow_slug));

comment on table quantumflow.workflows is
'One row per workflow: its name and the version that new runs use.';
comment on column quantumflow.workflows.workflow_slug is
'The name: a letter, then letters, digits and underscores, at most 128; unique whatever the case. Of what a goal or a plan comes to it begins with
_goal_ or _plan_.';
comment on column quantumflow.workflows.current_version is
'The version that start_flow uses unless told otherwise; 0 of what a goal or a plan comes to, which nobody starts by its name.';
comment on column quantumflow.workflows.created_at is
'When the workflow was first defined.';
comment on column quantumflow.workflows.optimized_at is 'When sweep() last looked whether it has better settings; null: not yet. See configure_orchestrator.';
comment on column quantumflow.workflows.policy is
'The policy that says which version a new run gets that names none; null: the current one.';

create table quantumflow.workflow_versions (
  workflow_slug text collate "C" not null,
  version       int not null,
  content_hash  text not null,
  definition    jsonb not null,
  frozen_at     timestamptz,
  turns         jsonb generated always as (definition -> 'one_at_a_time') stored,
  announces     boolean generated always as ((definition -> 'announce')::boolean) stored,
  tuned_from    int,
  constraint workflow_versions_pkey primary key (workflow_slug, version),
  constraint workflow_versions_same_content_same_version unique (workflow_slug, content_hash),
  constraint workflow_versions_count_from_one check (version >= 1)
);

comment on table quantumflow.workflow_versions is
'The definitions a workflow has had. A version is frozen by its first run; a change after that makes a new one.';
comment on column quantumflow.workflow_versions.workflow_slug is
'The workflow.';
comment on column quantumflow.workflow_versions.version is
'1, 2, 3 and so on. Not the "version" key of the definition, which is that of the JSON format.';
comment on column quantumflow.workflow_versions.content_hash is
'SHA-256 of the definition in hex, with its steps in order of name: the same content is the same version.';
comment on column quantumflow.workflow_versions.definition is
'The definition in canonical form: define_flow accepts it again. Defaults that were not given stay absent.';
comment on column quantumflow.workflow_versions.frozen_at is
'When the first run of this version started; null while it may still change.';
comment on column quantumflow.workflow_versions.turns is
'What its definition says under one_at_a_time: {"key", "when_busy"}; null: its runs go on beside each other.';
comment on column quantumflow.workflow_versions.announces is
'True: the ends of its runs are told, see announce_end; null: of those alone for which somebody asks.';
comment on column quantumflow.workflow_versions.tuned_from is
'The version of which this one is a copy with other settings, for a policy; null: somebody defined it.';

create table quantumflow._first_runs (
  workflow_slug text collate "C" not null,
  version       int not null,
  run_id        uuid not null,
  constraint _first_runs_pkey primary key (workflow_slug, version, run_id)
);

comment on table quantumflow._first_runs is
'Runs of versions that were about to be frozen by somebody else''s transaction, which may have been rolled back: these freeze them too.';
comment on column quantumflow._first_runs.workflow_slug is 'The workflow.';
comment on column quantumflow._first_runs.version is 'The version.';
comment on column quantumflow._first_runs.run_id is 'The run.';

create table quantumflow._hidden_runs (
  workflow_slug text collate "C" not null,
  version       int not null,
  run_id        uuid not null,
  constraint _hidden_runs_pkey primary key (workflow_slug, version, run_id)
);

create index _hidden_runs_run_ids on quantumflow._hidden_runs (run_id);

comment on table quantumflow._hidden_runs is
'The runs of versions that nobody has defined, what a goal or a plan comes to: each of these goes with the last of its runs.';
comment on column quantumflow._hidden_runs.workflow_slug is 'The workflow.';
comment on column quantumflow._hidden_runs.version is 'The version.';
comment on column quantumflow._hidden_runs.run_id is 'The run.';

create table quantumflow.workflow_steps (
  workflow_slug  text collate "C" not null,
  version        int not null,
  step_slug      text collate "C" not null,
  step_index     int not null,
  step_type      text not null,
  command        text not null,
  map_over       text collate "C",
  dependencies   text[] collate "C" not null,
  dependents     text[] collate "C" not null,
  feeds_map      boolean not null,
  max_attempts   int not null,
  max_lost       int not null,
  retry_delay    interval not null,
  timeout        interval,
  start_delay    interval not null,
  queue          text not null,
  args           jsonb,
  chunk_size     int,
  counts         boolean not null,
  known_tasks    int,
  gathers        boolean not null,
  plain          boolean not null default true,
  leaf           boolean not null,
  joins          text not null default 'all',
  otherwise      text not null default 'skip',
  condition      text,
  after          text[] collate "C" not null default '{}',
  prefer_after   text[] collate "C" not null default '{}',
  goes_on        boolean not null default false,
  fallback       jsonb,
  tolerate_tasks int,
  tolerate_share numeric,
  concludes      boolean not null,
  settled        boolean not null default false,
  sleep_for      interval,
  sleep_until    text,
  signals        text[] collate "C",
  tells_signal   boolean not null default false,
  child_flow     text collate "C",
  child_version  int,
  child_input    jsonb,
  child_output   jsonb,
  max_children   int,
  repeats        boolean not null default false,
  loop_until     text,
  loop_while     text,
  max_iterations int,
  loop_delay     interval,
  keep           int,
  limit_name     text collate "C",
  limit_path     text,
  plan           jsonb,
  constraint workflow_steps_pkey primary key (workflow_slug, version, step_slug),
  constraint workflow_steps_type_known check (step_type in ('single', 'map', 'loop', 'sleep', 'wait', 'flow', 'plan', 'callback')),
  constraint workflow_steps_callbacks_are_ours check ((step_type = 'callback') = (step_slug like '\_%')),
  constraint workflow_steps_only_maps_map check (map_over is null or step_type = 'map'),
  constraint workflow_steps_chunk_size_of_maps check (chunk_size is null or (chunk_size >= 1 and step_type = 'map')),
  constraint workflow_steps_max_attempts_positive check (max_attempts >= 1),
  constraint workflow_steps_max_lost_positive check (max_lost >= 1),
  constraint workflow_steps_retry_delay_not_negative check (retry_delay >= '0 s'),
  constraint workflow_steps_timeout_positive check (timeout > '0 s'),
  constraint workflow_steps_start_delay_not_negative check (start_delay >= '0 s'),
  constraint workflow_steps_joins_known check (joins in ('all', 'any', 'none')),
  constraint workflow_steps_otherwise_known check (otherwise in ('skip', 'fail')),
  constraint workflow_steps_preferred_are_waited_for check (prefer_after <@ after),
  constraint workflow_steps_tolerance_of_maps check (
    coalesce(tolerate_tasks, tolerate_share) is null
    or (step_type = 'map' and num_nonnulls(tolerate_tasks, tolerate_share) = 1 and coalesce(tolerate_tasks, tolerate_share) >= 0)),
  constraint workflow_steps_gated_are_not_plain check (
    not plain or (joins, otherwise, after) = ('all', 'skip', '{}') and condition is null),
  constraint workflow_steps_workers_have_a_deadline check (settled or timeout is not null),
  constraint workflow_steps_settled_once check (
    not settled
    or ((queue, max_lost) = ('quantum_flow_system', 1) and (max_attempts = 1 or child_flow is not null) and not (plain and counts))),
  constraint workflow_steps_sleeps_have_an_end check ((step_type = 'sleep') = (num_nonnulls(sleep_for, sleep_until) = 1)),
  constraint workflow_steps_waits_have_a_signal check ((step_type = 'wait') = (signals is not null and signals <> '{}')),
  constraint workflow_steps_children_are_settled check (
    case when child_flow is null then step_type <> 'flow' and coalesce(child_version::text, child_input::text, child_output::text, max_children::text) is null
    else settled and counts and (max_children >= 1) = gathers end),
  constraint workflow_steps_loops_have_an_end check (
    repeats = (num_nonnulls(loop_until, loop_while) = 1 and num_nonnulls(max_iterations, loop_delay, keep) = 3)
    and (repeats or num_nonnulls(loop_until, loop_while, max_iterations, loop_delay, keep) = 0)),
  constraint workflow_steps_iterations_positive check (max_iterations >= 1 and keep >= 1 and loop_delay >= '0 s'),
  constraint workflow_steps_repeating_have_tasks_one_by_one check (not repeats or (known_tasks is null and not gathers)),
  constraint workflow_steps_workers_have_limits check (limit_name is null or (counts and not settled)),
  constraint workflow_steps_paths_are_of_limits check (limit_path is null or limit_name is not null),
  constraint workflow_steps_plans_are_run check ((step_type = 'plan') = (plan is not null) and (plan is null or (repeats and child_flow is not null)))
);

create index workflow_steps_commands on quantumflow.workflow_steps (queue, command);

comment on table quantumflow.workflow_steps is
'The steps of each version, with every setting resolved: what the engine reads while runs are on.

A version''s on_complete and on_failure commands are here too, as steps of type "callback" named
_on_complete and _on_failure; they have no row in step_states.';
comment on column quantumflow.workflow_steps.workflow_slug is 'The workflow.';
comment on column quantumflow.workflow_steps.version is 'The version.';
comment on column quantumflow.workflow_steps.step_slug is 'The step''s name, unique in its version whatever the case.';
comment on column quantumflow.workflow_steps.step_index is 'The position in the definition, from 0.';
comment on column quantumflow.workflow_steps.step_type is
'single: one task. map: one task per item or per chunk of items. loop: a task after the other, until a condition says so. sleep: waits for a time. wait: waits for a signal. flow: waits for a run that it starts. plan: asks for a graph of tasks, and waits for the run of it. callback: run when a run of
this version ends, or, as _run_timeout, what ends it.';
comment on column quantumflow.workflow_steps.command is 'The name of the handler that executes the step; of one that is settled what it waits for: sleep, wait, flow or run_timeout.';
comment on column quantumflow.workflow_steps.map_over is
'The dependency whose array a map step maps over; null: the run''s input.';
comment on column quantumflow.workflow_steps.dependencies is
'The steps that must be done first and whose outputs it is handed, in the order given.';
comment on column quantumflow.workflow_steps.dependents is 'The steps that wait for this one, those that are handed its output or not.';
comment on column quantumflow.workflow_steps.feeds_map is
'A single step over whose output a map maps: it must be an array. Of a loop that is asked of the last output, when it ends.';
comment on column quantumflow.workflow_steps.max_attempts is 'How many failures (errors and timeouts) end a task.';
comment on column quantumflow.workflow_steps.max_lost is 'How many lost leases end a task; 1 is "at most once".';
comment on column quantumflow.workflow_steps.retry_delay is 'The delay before the second attempt; it doubles with each failure.';
comment on column quantumflow.workflow_steps.timeout is
'How long one attempt may take from its claim; of a wait, or of a run that it starts, how long it waits at most, null for ever; of _run_timeout how long the run may take.';
comment on column quantumflow.workflow_steps.start_delay is 'How long the step''s tasks wait once the step is ready.';
comment on column quantumflow.workflow_steps.queue is 'The pgmq queue of the step''s tasks.';
comment on column quantumflow.workflow_steps.args is 'Handed to the handler unchanged.';
comment on column quantumflow.workflow_steps.chunk_size is
'How many items of a map one task has, all of them in one array; null: one item a task, as it is.';
comment on column quantumflow.workflow_steps.counts is
'Whether it is part of a run, which waits for it and fails with it. A callback is not.';
comment on column quantumflow.workflow_steps.known_tasks is
'How many tasks it has; null: as many as turn out when it becomes ready, as with a map, or later, as with a loop.';
comment on column quantumflow.workflow_steps.gathers is
'Whether its output is made of those of its tasks, and kept on the step; else it is its only task''s, and kept there.';
comment on column quantumflow.workflow_steps.plain is
'Whether it starts as soon as what it waits for has ended: it has neither a condition nor a join nor steps that it comes after, and nothing
that it waits for can be skipped, or fail without ending the run. A step that is not plain passes the gate first, and one that is settled is
never plain.';
comment on column quantumflow.workflow_steps.leaf is
'Whether no step is handed its output, which is therefore part of the run''s. Who only comes after it takes nothing.';
comment on column quantumflow.workflow_steps.joins is
'How many of its dependencies must have completed, or it is skipped: all, any, or none, which asks for nothing.';
comment on column quantumflow.workflow_steps.otherwise is 'What a condition that is false means: skip or fail.';
comment on column quantumflow.workflow_steps.condition is
'The jsonpath predicate that must be true, or it does not run, with its mode, over its input and $status; null: none. As a text, since
not every server knows each word of jsonpath.';
comment on column quantumflow.workflow_steps.after is
'The steps that must have ended first, in whatever way, and whose outputs it is not handed.';
comment on column quantumflow.workflow_steps.prefer_after is 'Those of after that a tuned version may drop.';
comment on column quantumflow.workflow_steps.goes_on is 'Whether its run goes on without it when it fails for good.';
comment on column quantumflow.workflow_steps.fallback is
'Its output when it fails for good, and the run goes on; null: none. A JSON null is one.';
comment on column quantumflow.workflow_steps.tolerate_tasks is 'So many of a map''s tasks may fail; null: none, unless tolerate_share says so.';
comment on column quantumflow.workflow_steps.tolerate_share is
'The share of a map''s tasks that may fail, 0.05 for 5 %, rounded down to tasks; null: none, unless tolerate_tasks says so.';
comment on column quantumflow.workflow_steps.concludes is
'Whether a run that it ends has its output and no other, and nobody is told: it is the only leaf, has one task, and there is neither an on_complete nor a run_timeout, nor a one_at_a_time.';
comment on column quantumflow.workflow_steps.settled is
'Whether no worker is given its tasks: settle() ends them, when their time comes, or a signal, or the run that they have started ends.';
comment on column quantumflow.workflow_steps.sleep_for is 'How long it sleeps; null: it does not, or until a moment.';
comment on column quantumflow.workflow_steps.sleep_until is
'The jsonpath, with its mode, that finds in its input until when it sleeps; null: it does not, or for so long. As a text, like condition.';
comment on column quantumflow.workflow_steps.signals is 'The signals that it waits for, of which one is enough; null: it waits for none.';
comment on column quantumflow.workflow_steps.tells_signal is
'Whether its output says which signal it was, {"signal", "payload"}; else it is the payload.';
comment on column quantumflow.workflow_steps.child_flow is 'The workflow of which each of its tasks starts a run, a child; null: none.';
comment on column quantumflow.workflow_steps.child_version is 'Its version; null: the one that is current when a child starts.';
comment on column quantumflow.workflow_steps.child_input is
'What a child is given: JSON, in which a text that begins with a dollar is a jsonpath over the step''s input; null: that input.';
comment on column quantumflow.workflow_steps.max_children is
'How many children of a map go on at once; null of what is no map of children.';
comment on column quantumflow.workflow_steps.child_output is
'What a child''s output becomes: JSON, in which a text that begins with a dollar is a jsonpath over it; null: that output.';
comment on column quantumflow.workflow_steps.repeats is
'Whether each of its tasks but the first is made when the one before has ended, if its condition says so: its tasks are iterations.';
comment on column quantumflow.workflow_steps.loop_until is
'The jsonpath predicate that ends a loop when it is true, with its mode, over its input with "last", $status and $iteration; null: loop_while
says it, or it is no loop. As a text, like condition.';
comment on column quantumflow.workflow_steps.loop_while is 'The same, which ends a loop when it is false.';
comment on column quantumflow.workflow_steps.max_iterations is
'So many iterations, and no end, fail a loop; as many again after a retry of one that has failed so. Null: it is no loop.';
comment on column quantumflow.workflow_steps.loop_delay is 'How long each iteration but the first waits after the one before.';
comment on column quantumflow.workflow_steps.keep is 'How many of the iterations that have ended keep their tasks and failures: the last ones.';
comment on column quantumflow.workflow_steps.limit_name is 'The limit of its tasks, which set_limit() sets; null: none.';
comment on column quantumflow.workflow_steps.limit_path is
'The jsonpath, with its mode, that finds in its input the key by which its tasks are limited, each key apart; null: all are together. As a text,
like condition.';
comment on column quantumflow.workflow_steps.plan is
'Of what asks for a graph of tasks: the step by which it asks, and what these may be. {"step", "may_use", "may_use_types", "may_use_flows", "max_steps"}; null: it asks for none.';

create table quantumflow.workflow_step_edges (
  workflow_slug   text collate "C" not null,
  version         int not null,
  step_slug       text collate "C" not null,
  depends_on_step text collate "C" not null,
  order_only      boolean not null default false,
  constraint workflow_step_edges_pkey primary key (workflow_slug, version, step_slug, depends_on_step),
  constraint workflow_step_edges_not_to_itself check (step_slug <> depends_on_step)
);

comment on table quantumflow.workflow_step_edges is
'The graph: one row per dependency. The engine reads the arrays of workflow_steps; this is for people and for the cycle check.';
comment on column quantumflow.workflow_step_edges.workflow_slug is 'The workflow.';
comment on column quantumflow.workflow_step_edges.version is 'The version.';
comment on column quantumflow.workflow_step_edges.step_slug is 'The step that waits.';
comment on column quantumflow.workflow_step_edges.depends_on_step is 'The step it waits for.';
comment on column quantumflow.workflow_step_edges.order_only is 'Whether it only comes after it, and is not handed its output.';

create table quantumflow.described_commands (
  command     text collate "C" not null,
  description text not null,
  args_schema jsonb,
  constraint described_commands_pkey primary key (command)
);

comment on table quantumflow.described_commands is 'What planners are told of commands. See describe_command.';
comment on column quantumflow.described_commands.command is 'The command.';
comment on column quantumflow.described_commands.description is 'What it does.';
comment on column quantumflow.described_commands.args_schema is 'The JSON Schema that the args of its tasks keep to; null: they may be anything.';
