create type quantumflow.goal_summary as (
  goal_id       uuid,
  goal          text,
  decomposer    text,
  status        text,
  tasks         int,
  done_tasks    int,
  run_id        uuid,
  created_at    timestamptz,
  ended_at      timestamptz,
  error_message text
);

comment on type quantumflow.goal_summary is 'A goal in a line.';
comment on column quantumflow.goal_summary.goal_id is 'The goal.';
comment on column quantumflow.goal_summary.goal is 'What it is, in words.';
comment on column quantumflow.goal_summary.decomposer is 'What it was given to.';
comment on column quantumflow.goal_summary.status is 'decomposing, decomposed, running, paused, completed, failed or cancelled.';
comment on column quantumflow.goal_summary.tasks is 'How many tasks it came to; null while nobody knows.';
comment on column quantumflow.goal_summary.done_tasks is 'How many of them are done.';
comment on column quantumflow.goal_summary.run_id is 'Its run.';
comment on column quantumflow.goal_summary.created_at is 'When it was given.';
comment on column quantumflow.goal_summary.ended_at is 'When it completed, failed or was cancelled.';
comment on column quantumflow.goal_summary.error_message is 'Why it failed or was cancelled.';

create function quantumflow.list_goals(status text default null, max_goals int default 100)
returns setof quantumflow.goal_summary
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $list_goals$
begin
  if list_goals.max_goals is null or list_goals.max_goals not between 1 and 10000 then
    raise exception 'max_goals must be between 1 and 10000'
    using
      errcode = 'QF211',
      detail = format('It is %s.', coalesce(list_goals.max_goals::text, 'null')),
      hint = 'Leave it out for 100.';
  end if;

  if list_goals.status not in ('decomposing', 'decomposed', 'running', 'paused', 'completed', 'failed', 'cancelled') then
    raise exception 'status "%" is not one of a goal', list_goals.status
    using
      errcode = 'QF212',
      detail = 'A goal is decomposing, decomposed, running, paused, completed, failed or cancelled.',
      hint = 'Leave status out for all of them.';
  end if;

  return query
  select
    g.goal_id, g.goal, g.decomposer::text, k.status, jsonb_array_length(g.graph -> 'tasks'), k.done_tasks, g.run_id, g.created_at,
    coalesce(g.failed_at, g.cancelled_at, r.completed_at, r.failed_at, r.cancelled_at), coalesce(g.error_message, r.error_message)
  from quantumflow.goals g
  left join lateral (
    select l.status, l.completed_at, l.failed_at, l.cancelled_at, l.error_message, l.remaining_steps
    from quantumflow.workflow_runs l
    where l.id = g.run_id
    limit 1
  ) r on true
  cross join lateral (
    select quantumflow._status_of_goal(g, r.status) as status, jsonb_array_length(g.graph -> 'tasks') - r.remaining_steps as done_tasks
  ) k
  where list_goals.status is null
    or k.status = list_goals.status
  order by g.goal_id desc
  limit list_goals.max_goals;
end
$list_goals$;

comment on function quantumflow.list_goals(text, int) is
'The latest goals, newest first, of one status or of all. max_goals: 1 to 10,000.

Errors: QF211 bad max_goals; QF212 unknown status.';
