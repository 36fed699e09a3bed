create table quantumflow.decomposers (
  name       text collate "C" not null,
  kind       text not null,
  command    text,
  version    text not null,
  may_use    text[],
  max_depth  int,
  timeout    interval,
  cache_for  interval,
  fallback   text collate "C",
  created_at timestamptz not null,
  constraint decomposers_pkey primary key (name),
  constraint decomposers_name_well_formed check (name ~ '^[A-Za-z][A-Za-z0-9_]{0,99}$'),
  constraint decomposers_kind_known check (kind in ('rules', 'command')),
  constraint decomposers_commands_have_one check ((kind = 'command') = (command is not null)),
  constraint decomposers_commands_use_what_they_may check (kind = 'rules' or cardinality(may_use) > 0),
  constraint decomposers_max_depth_positive check (max_depth between 1 and 100),
  constraint decomposers_timeout_positive check (timeout > '0 s'),
  constraint decomposers_cache_for_positive check (cache_for > '0 s'),
  constraint decomposers_fall_back_on_others check (fallback <> name)
);

comment on table quantumflow.decomposers is 'What makes a graph of tasks of a goal: one row each. See register_decomposer.';
comment on column quantumflow.decomposers.name is 'The name: a letter, then letters, digits and underscores, at most 100.';
comment on column quantumflow.decomposers.kind is 'rules: methods, which the database applies by itself. command: a handler of a worker.';
comment on column quantumflow.decomposers.command is 'The command of one that is a handler.';
comment on column quantumflow.decomposers.version is 'Which version of it this is, a prompt''s for example: what another one has made is not used again.';
comment on column quantumflow.decomposers.may_use is 'The commands that its tasks may have; null, of rules: any.';
comment on column quantumflow.decomposers.max_depth is 'How deep goals may be nested in tasks; null: as orchestrator.max_depth says.';
comment on column quantumflow.decomposers.timeout is 'How long it may take; null: as orchestrator.timeout_ms says.';
comment on column quantumflow.decomposers.cache_for is 'How long a graph that it made serves the same goal and context again; null: not at all.';
comment on column quantumflow.decomposers.fallback is 'The decomposer that is asked where no rule fits.';
comment on column quantumflow.decomposers.created_at is 'When it was first registered.';

create table quantumflow.methods (
  decomposer text collate "C" not null,
  number     int not null,
  task       text,
  pattern    text,
  condition  text,
  graph      jsonb not null,
  constraint methods_pkey primary key (decomposer, number),
  constraint methods_count_from_one check (number >= 1),
  constraint methods_decompose_one_thing check (task is null or pattern is null)
);

comment on table quantumflow.methods is 'The rules of decomposers: the first that fits is applied, and the next where that comes to nothing. See add_method.';
comment on column quantumflow.methods.decomposer is 'The decomposer.';
comment on column quantumflow.methods.number is 'Which of its rules it is: they are tried in this order.';
comment on column quantumflow.methods.task is 'The command of the tasks that it decomposes; null: it decomposes goals.';
comment on column quantumflow.methods.pattern is 'The regular expression that a goal matches, whatever the case; null: any goal does.';
comment on column quantumflow.methods.condition is
'The jsonpath predicate over {"goal", "context", "args", "match"} that must be true, with its mode; null: none. As a text, like workflow_steps.condition.';
comment on column quantumflow.methods.graph is 'The tasks that it comes to.';

create table quantumflow.goals (
  goal_id         uuid not null,
  goal            text not null,
  decomposer      text collate "C" not null,
  context         jsonb not null,
  options         jsonb not null,
  idempotency_key text,
  executes        boolean not null,
  created_at      timestamptz not null,
  graph           jsonb,
  run_id          uuid,
  failed_at       timestamptz,
  error_code      text,
  error_message   text,
  problems        text,
  cancelled_at    timestamptz,
  is_planning     boolean not null default false,
  plan_run_id     uuid,
  plans           int not null default 0,
  rounds          int not null default 0,
  cache_key       text,
  constraint goals_pkey primary key (goal_id),
  constraint goals_failed_have_an_error check (failed_at is null or error_message is not null),
  constraint goals_that_came_to_nothing_have_no_run check (coalesce(failed_at, cancelled_at) is null or (run_id is null and not is_planning)),
  constraint goals_are_planned_by_a_run check (not is_planning or (plan_run_id is not null and run_id is null))
);

create index goals_planning on quantumflow.goals (goal_id)
  where is_planning;

create index goals_plan_runs on quantumflow.goals (plan_run_id)
  where plan_run_id is not null;

create index goals_cache_keys on quantumflow.goals (cache_key, goal_id)
  where cache_key is not null;

create unique index goals_idempotency_key_unique
  on quantumflow.goals (decomposer, idempotency_key)
  where idempotency_key is not null;

create unique index goals_runs on quantumflow.goals (run_id)
  where run_id is not null;

comment on table quantumflow.goals is
'One row per goal that was to be decomposed or executed. What becomes of it is its run''s to say: see goal_status. It is deleted with its run.';
comment on column quantumflow.goals.goal_id is 'A version 7 uuid: later goals sort later.';
comment on column quantumflow.goals.goal is 'The goal, in words; "(sensitive)" if only workers and the owner may read it.';
comment on column quantumflow.goals.decomposer is 'The decomposer that it was given to.';
comment on column quantumflow.goals.context is 'What else the decomposer and the tasks are told.';
comment on column quantumflow.goals.options is 'How it is to be done: see execute_goal.';
comment on column quantumflow.goals.idempotency_key is 'Unique for the decomposer: the same key again is the same goal.';
comment on column quantumflow.goals.executes is 'Whether it is executed; else it is only decomposed.';
comment on column quantumflow.goals.created_at is 'When it was given.';
comment on column quantumflow.goals.graph is 'The tasks that it came to; null while nobody knows, and where its run says so.';
comment on column quantumflow.goals.run_id is 'The run that decomposes or executes it; null where there is none.';
comment on column quantumflow.goals.failed_at is 'When it failed, of one that came to no run.';
comment on column quantumflow.goals.cancelled_at is 'When it was cancelled, of one that came to no run.';
comment on column quantumflow.goals.is_planning is 'Whether a worker is being asked for a plan: a task of graph is a goal still.';
comment on column quantumflow.goals.plan_run_id is 'The run in which a worker is, or was last, asked.';
comment on column quantumflow.goals.plans is 'How many plans workers were asked for.';
comment on column quantumflow.goals.rounds is 'How often the plan that is asked for was not good.';
comment on column quantumflow.goals.cache_key is 'What its plan is kept under in _goal_cache, or was found there under; null: it is not.';
comment on column quantumflow.goals.error_code is 'The code of the error that it failed with.';
comment on column quantumflow.goals.error_message is 'Why it failed.';
comment on column quantumflow.goals.problems is 'What was wrong with its graph, one a line.';

create table quantumflow._goal_cache (
  cache_key text not null,
  tasks     jsonb not null,
  made_at   timestamptz not null,
  hits      bigint not null default 0,
  constraint _goal_cache_pkey primary key (cache_key)
);

comment on table quantumflow._goal_cache is 'Plans that were made, for goals that come again: of decomposers that say for how long.';
comment on column quantumflow._goal_cache.cache_key is 'SHA-256, in hex, of the decomposer, its version, the goal in its one form, and the context.';
comment on column quantumflow._goal_cache.tasks is 'The tasks that it came to.';
comment on column quantumflow._goal_cache.made_at is 'When.';
comment on column quantumflow._goal_cache.hits is 'How often it was used again.';
