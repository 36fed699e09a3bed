create type quantumflow.state_problem as (
  rule       int,
  run_id     uuid,
  step_slug  text,
  task_index int,
  queue      text,
  message_id bigint,
  problem    text,
  remedy     text
);

comment on type quantumflow.state_problem is
'Something that breaks a rule: which rule, what is wrong, with which run, step, task or message, and what repair() would do.';
comment on column quantumflow.state_problem.rule is 'The rule that is broken: see check_state().';
comment on column quantumflow.state_problem.run_id is 'The run, where there is one.';
comment on column quantumflow.state_problem.step_slug is 'The step, where there is one.';
comment on column quantumflow.state_problem.task_index is 'The task, where there is one.';
comment on column quantumflow.state_problem.queue is 'The queue, where a message is concerned.';
comment on column quantumflow.state_problem.message_id is 'The msg_id of the message.';
comment on column quantumflow.state_problem.problem is 'What is wrong.';
comment on column quantumflow.state_problem.remedy is 'What repair() does about it; null where a person has to decide.';

create function quantumflow.check_state(run_id uuid default null)
returns setof quantumflow.state_problem
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
set jit = off
as $check_state$
begin
  return query
  select * from quantumflow._check_definitions(check_state.run_id)
  union all
  select * from quantumflow._check_references(check_state.run_id)
  union all
  select * from quantumflow._check_ends(check_state.run_id)
  union all
  select * from quantumflow._check_messages(check_state.run_id)
  union all
  select * from quantumflow._check_slots(check_state.run_id)
  union all
  select * from quantumflow._check_steps(check_state.run_id)
  union all
  select * from quantumflow._check_outputs(check_state.run_id)
  union all
  select * from quantumflow._check_chunks(check_state.run_id)
  union all
  select * from quantumflow._check_runs(check_state.run_id)
  union all
  select * from quantumflow._check_limits(check_state.run_id)
  union all
  select * from quantumflow._check_gates(check_state.run_id)
  union all
  select * from quantumflow._check_taskless(check_state.run_id)
  union all
  select * from quantumflow._check_waits(check_state.run_id)
  union all
  select * from quantumflow._check_children(check_state.run_id)
  union all
  select * from quantumflow._check_loops(check_state.run_id)
  union all
  select * from quantumflow._check_rows(check_state.run_id)
  order by 1, 2, 3, 4, 6;
end
$check_state$;

comment on function quantumflow.check_state(uuid) is
'Whatever breaks the rules that are always true, of one run or of all: no row means healthy. From one snapshot, so it is exact
under load too.

rule:
0 every row belongs to something (there are no foreign keys), and what a step is says its definition, which is looked at of current versions and
of those of runs that have not ended;
1 a run that ended has no queued or started task, callbacks aside, and nor has a step that ended, unless the run is listed in
_unfinished_ends;
2 every queued or started task has exactly one message, which names the command of its step, and every message such a task; only queued
tasks of paused runs, those that a limit holds back, and what waits without a deadline, sleep for ever, and no lease goes beyond the deadline of its
attempt;
3 remaining_steps, remaining_deps, remaining_tasks and failed_tasks equal a recount;
4 a started task of a limited step has a slot of its key, so that there are never more live leases than slots;
5 the output of a step that fell back is its fallback, and of a loop that of its last iteration;
6 a step starts, or is skipped, only after all that it waits for has ended, and does so then;
7 a map has a task per item, or per chunk_size items, and, when it is completed, their outputs in index order, null for those that failed;
8 failures do not exceed max_attempts, nor losses max_lost; a step or run with nothing left to do has ended, a run that ended
has its callback, but for children that failed and may be tried again, and one that goes on its deadline;
9 a completed run has only steps that have ended, and a run that goes on no failed or cancelled step or task, but for steps without which it
goes on and the tasks of these, and failed tasks that are tolerated;
10 a skipped step has its reason, and the reason holds;
11 a step completed without a completed task is an empty map, or has fallen back;
12 a child that goes on is wanted: its parent has not ended, and its task waits; a task that waits has a child, whose end wakes it; unless it is
listed in _tree_work; of a map as many go on as may; and its depth is one more than its parent''s;
13 the iterations of a loop follow each other without a gap, as far as they are kept, and one at most goes on;
14 no step waits for a signal that lies there;
15 gave_up equals a recount;
16 no row contradicts itself: its times, reasons and numbers go with its status.
(That a task has one lease, that an output is recorded once, and that no count goes below nothing, is kept by the tables themselves.)

problem says what is wrong with the run, step, task or message that the row names, remedy what repair() does about it.
It reads every row once or more, and the outputs of maps: some seconds for a million tasks.

Errors: none.';
