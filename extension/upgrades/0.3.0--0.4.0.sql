-- Every call of a worker reads the settings before anything else: whoever has them alone waits for nobody who waits for this.
alter table quantumflow.settings
  drop constraint settings_name_known,
  add constraint settings_name_known check (name in (
    'test_clock', 'test_clock_ahead', 'identity', 'pgmq_owner',
    'max_steps', 'max_depth', 'max_definition_bytes', 'max_map_items', 'max_input_bytes', 'max_headers_bytes', 'max_output_bytes',
    'max_error_bytes', 'max_condition_bytes', 'max_signals', 'max_run_depth', 'max_tree_runs', 'max_iterations', 'max_progress_bytes', 'notify',
    'max_plans', 'max_plan_steps', 'orchestrator.max_depth', 'orchestrator.timeout_ms', 'optimization.enabled', 'optimization.level',
    'optimization.preserve_structure', 'notifications.enabled', 'notifications.real_time'));

-- What finish.sql is to grant again leaves out what no access gives, which default privileges may have granted; and, for who is no
-- operator, reports by hand.
select set_config(
  'quantumflow.granted',
  (
    select coalesce(jsonb_agg(g.entry), '[]')::text
    from jsonb_array_elements(current_setting('quantumflow.granted')::jsonb) g (entry)
    where g.entry ->> 2 <> 'public'
      and case g.entry ->> 0
        when 'schema' then g.entry ->> 3 = 'USAGE'
        when 'table' then g.entry ->> 3 = 'SELECT'
        else not starts_with(g.entry ->> 1, 'quantumflow._')
          and g.entry ->> 1 not in ('quantumflow.grant_access', 'quantumflow.revoke_access')
      end
      and (
        g.entry ->> 1 not in ('quantumflow.complete_task', 'quantumflow.fail_task')
        or exists (
          select
          from jsonb_array_elements(current_setting('quantumflow.granted')::jsonb) o (entry)
          where o.entry ->> 1 = 'quantumflow.cancel_run'
            and o.entry ->> 2 = g.entry ->> 2
        )
      )
  ),
  true);

-- What a step's type means is compiled when its version is stored. Of the versions stored before, only what is not as most steps are is
-- written.
alter table quantumflow.workflow_steps
  add column counts boolean not null default true,
  add column known_tasks int default 1,
  add column gathers boolean not null default false;

update quantumflow.workflow_steps s
set
  known_tasks = null,
  gathers = true
where s.step_type = 'map';

update quantumflow.workflow_steps s
set counts = false
where s.step_type = 'callback';

alter table quantumflow.workflow_steps
  alter column counts drop default,
  alter column known_tasks drop default,
  alter column gathers drop default;

-- It told each step's type, which nobody asked.
drop view quantumflow._step_facts;

-- What a task is given is put together by a function, with which a claim reads neither task nor run again.
drop view quantumflow.workflow_step_states;
drop view quantumflow._task_inputs;

-- What reports say of their attempts. From when an attempt of before could be claimed nobody knows any more.
alter table quantumflow.step_tasks
  add column usage jsonb,
  drop constraint step_tasks_status_known,
  drop constraint step_tasks_index_not_negative,
  drop constraint step_tasks_attempts_not_negative,
  drop constraint step_tasks_started_has_lease,
  drop constraint step_tasks_failed_has_time;

alter table quantumflow.task_failures
  add column due_at timestamptz,
  add column reported boolean not null default true,
  add column usage jsonb;

update quantumflow.task_failures f
set reported = false
where f.kind <> 'error';

alter table quantumflow.task_failures
  alter column reported drop default;

-- What workers say of themselves.
alter table quantumflow.workers
  add column host text,
  add column pid int,
  add column version text,
  add column slots int,
  add column running int,
  add column oldest jsonb;

-- What decides whether a step runs, and what its failure means. Nothing that was stored before has any of it.
alter table quantumflow.workflow_steps
  add column plain boolean not null default true,
  add column leaf boolean not null default false,
  add column joins text not null default 'all',
  add column otherwise text not null default 'skip',
  add column condition text,
  add column after text[] collate "C" not null default '{}',
  add column prefer_after text[] collate "C" not null default '{}',
  add column goes_on boolean not null default false,
  add column fallback jsonb,
  add column tolerate_tasks int,
  add column tolerate_share numeric,
  add column concludes boolean not null default false,
  add constraint workflow_steps_joins_known check (joins in ('all', 'any', 'none')),
  add constraint workflow_steps_otherwise_known check (otherwise in ('skip', 'fail')),
  add constraint workflow_steps_preferred_are_waited_for check (prefer_after <@ after),
  add constraint workflow_steps_tolerance_of_maps check (
    coalesce(tolerate_tasks, tolerate_share) is null
    or (step_type = 'map' and num_nonnulls(tolerate_tasks, tolerate_share) = 1 and coalesce(tolerate_tasks, tolerate_share) >= 0)),
  add constraint workflow_steps_gated_are_not_plain check (
    not plain or (joins, otherwise, after) = ('all', 'skip', '{}') and condition is null);

update quantumflow.workflow_steps s
set leaf = true
where s.dependents = '{}'
  and s.counts;

update quantumflow.workflow_steps s
set concludes = true
where s.leaf
  and s.known_tasks = 1
  and not exists (
    select
    from quantumflow.workflow_steps o
    where (o.workflow_slug, o.version) = (s.workflow_slug, s.version)
      and o.step_slug <> s.step_slug
      and (o.leaf or o.step_slug = '_on_complete')
  );

alter table quantumflow.workflow_steps
  alter column leaf drop default,
  alter column concludes drop default;

alter table quantumflow.workflow_step_edges
  add column order_only boolean not null default false;

alter table quantumflow.step_states
  add column skipped_at timestamptz,
  add column skip_reason text,
  add column failed_tasks int,
  drop constraint step_states_status_known,
  drop constraint step_states_waits_for_dependencies,
  drop constraint step_states_started_has_tasks,
  drop constraint step_states_completed_has_time,
  drop constraint step_states_failed_has_time;

alter table quantumflow.workflow_runs
  add column gave_up int,
  drop constraint workflow_runs_status_known,
  drop constraint workflow_runs_priority_not_negative,
  drop constraint workflow_runs_retries_not_negative,
  drop constraint workflow_runs_completed_has_time,
  drop constraint workflow_runs_failed_has_time,
  drop constraint workflow_runs_cancelled_has_time,
  drop constraint workflow_runs_output_when_completed;

alter table quantumflow.task_failures
  drop constraint task_failures_kind_known,
  add constraint task_failures_kind_known check (kind in ('error', 'timeout', 'lost', 'condition', 'child', 'loop', 'plan'));

-- Steps that no worker is given.
alter table quantumflow.workflow_steps
  alter column timeout drop not null,
  add column settled boolean not null default false,
  add column sleep_for interval,
  add column sleep_until text,
  add column signals text[] collate "C",
  add column tells_signal boolean not null default false,
  add column child_flow text collate "C",
  add column child_version int,
  add column child_input jsonb,
  add column child_output jsonb,
  add column max_children int,
  drop constraint workflow_steps_type_known,
  add constraint workflow_steps_type_known check (step_type in ('single', 'map', 'loop', 'sleep', 'wait', 'flow', 'plan', 'callback')),
  add constraint workflow_steps_workers_have_a_deadline check (settled or timeout is not null),
  add constraint workflow_steps_settled_once check (
    not settled
    or ((queue, max_lost) = ('quantum_flow_system', 1) and (max_attempts = 1 or child_flow is not null) and not (plain and counts))),
  add constraint workflow_steps_sleeps_have_an_end check ((step_type = 'sleep') = (num_nonnulls(sleep_for, sleep_until) = 1)),
  add constraint workflow_steps_waits_have_a_signal check ((step_type = 'wait') = (signals is not null and signals <> '{}')),
  add constraint workflow_steps_children_are_settled check (
    case when child_flow is null then step_type <> 'flow' and coalesce(child_version::text, child_input::text, child_output::text, max_children::text) is null
    else settled and counts and (max_children >= 1) = gathers end);

-- Runs that steps start. No run of before is one.
alter table quantumflow.workflow_runs
  add column parent_run_id uuid,
  add column parent_step_slug text collate "C",
  add column parent_task_index int,
  add column parent_retries int,
  add column root_run_id uuid,
  add column depth int,
  add column paused_with_parent boolean,
  add column started_by text,
  add column origin text;

alter table quantumflow.step_states
  add column fresh_since int,
  add column next_child int;

-- Loops.
alter table quantumflow.workflow_steps
  add column repeats boolean not null default false,
  add column loop_until text,
  add column loop_while text,
  add column max_iterations int,
  add column loop_delay interval,
  add column keep int,
  add constraint workflow_steps_loops_have_an_end check (
    repeats = (num_nonnulls(loop_until, loop_while) = 1 and num_nonnulls(max_iterations, loop_delay, keep) = 3)
    and (repeats or num_nonnulls(loop_until, loop_while, max_iterations, loop_delay, keep) = 0)),
  add constraint workflow_steps_iterations_positive check (max_iterations >= 1 and keep >= 1 and loop_delay >= '0 s'),
  add constraint workflow_steps_repeating_have_tasks_one_by_one check (not repeats or (known_tasks is null and not gathers));

alter table quantumflow.step_states
  add column max_iterations int,
  add column unkept_gave_up int;

-- What goals and plans come to are workflows whose names begin with an underscore.
alter table quantumflow.workflows
  drop constraint workflows_slug_well_formed,
  add constraint workflows_slug_well_formed check (workflow_slug ~ '^([A-Za-z]|_goal_[A-Za-z]|_plan_[0-9a-f])[A-Za-z0-9_]{0,127}$');

-- What is limited. Nothing that was stored before is.
alter table quantumflow.workflow_steps
  add column limit_name text collate "C",
  add column limit_path text,
  add constraint workflow_steps_workers_have_limits check (limit_name is null or (counts and not settled)),
  add constraint workflow_steps_paths_are_of_limits check (limit_path is null or limit_name is not null);

-- Steps that ask for a plan. None of before does.
alter table quantumflow.workflow_steps
  add column plan jsonb,
  add constraint workflow_steps_plans_are_run check ((step_type = 'plan') = (plan is not null) and (plan is null or (repeats and child_flow is not null)));

alter table quantumflow.step_tasks
  add column limit_key text,
  add column gave_up int;

-- Runs that go on one at a time.
alter table quantumflow.workflow_versions
  add column turns jsonb generated always as (definition -> 'one_at_a_time') stored,
  add column announces boolean generated always as ((definition -> 'announce')::boolean) stored;

alter table quantumflow.workflow_runs
  add column turn_key text collate "C";

-- Other settings that are tried, or adopted.
alter table quantumflow.workflows
  add column policy int,
  add column optimized_at timestamptz;

alter table quantumflow.workflow_versions
  add column tuned_from int;

-- Runs whose end is told.
alter table quantumflow.workflow_runs
  add column announced boolean;
