create type quantumflow.state_repair as (
  rule       int,
  run_id     uuid,
  step_slug  text,
  task_index int,
  queue      text,
  message_id bigint,
  problem    text,
  action     text
);

comment on type quantumflow.state_repair is 'Something that breaks a rule, as check_state() found it, and what repair() did about it or would do.';
comment on column quantumflow.state_repair.rule is 'The rule that is broken: see check_state().';
comment on column quantumflow.state_repair.run_id is 'The run, where there is one.';
comment on column quantumflow.state_repair.step_slug is 'The step, where there is one.';
comment on column quantumflow.state_repair.task_index is 'The task, where there is one.';
comment on column quantumflow.state_repair.queue is 'The queue, where a message is concerned.';
comment on column quantumflow.state_repair.message_id is 'The msg_id of the message.';
comment on column quantumflow.state_repair.problem is 'What was wrong.';
comment on column quantumflow.state_repair.action is
'In a dry run the remedy, or "none" where a person has to decide; else "done: ...", "none", or "not done: ..." with the reason.';

create function quantumflow.repair(dry_run boolean default true)
returns setof quantumflow.state_repair
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $repair$
declare
  v_now      timestamptz := quantumflow._now();
  v_problems quantumflow.state_problem[] := quantumflow._problems_to_mend();
  v_errors   jsonb;
  v_left     text[];
begin
  if repair.dry_run then
    return query
    select p.rule, p.run_id, p.step_slug, p.task_index, p.queue, p.message_id, p.problem, coalesce(p.remedy, 'none')
    from unnest(v_problems) p;

    return;
  end if;

  perform quantumflow._require_read_committed('repair');
  perform quantumflow._repair_queues(v_problems);
  if exists (select from unnest(v_problems) p where p.remedy = 'compile it again') then
    perform quantumflow._correct_facts();
  end if;
  v_errors := quantumflow._repair_runs(v_problems, v_now);
  if v_problems <> '{}' then
    perform quantumflow._record_act('repair', v_now, p_detail => jsonb_build_object('problems', cardinality(v_problems)));
  end if;

  select array_agg(quantumflow._key_of(p))
  into v_left
  from quantumflow.check_state() p;

  return query
  select
    p.rule, p.run_id, p.step_slug, p.task_index, p.queue, p.message_id, p.problem,
    case
      when l.key is null then 'done: ' || coalesce(p.remedy, 'it went with the others')
      when p.remedy is null then 'none'
      else 'not done: ' || coalesce(v_errors ->> p.run_id::text, 'it is still so')
    end
  from unnest(v_problems) with ordinality p (rule, run_id, step_slug, task_index, queue, message_id, problem, remedy, n)
  left join unnest(v_left) l (key)
    on l.key = quantumflow._key_of(v_problems[p.n])
  order by p.n;
end
$repair$;

comment on function quantumflow.repair(boolean) is
'Mends what check_state() finds, as far as that takes no decision, and returns a row per problem that says what it did.

dry_run: true, the default, changes nothing and says what would be done.

It sends queued and started tasks whose message is gone a new one, removes or archives messages that are not a task''s, wakes those
that sleep though their run goes on, lets them name the command of their step, compiles again what a step is, counts remaining_tasks, remaining_deps, remaining_steps and gave_up anew,
completes steps whose tasks are all completed, lets loops go on or end, starts steps that are ready, ends runs with nothing left to do, makes callbacks and deadlines that are
missing, lets waits find signals that lie there, brings children in line with their parents, and cancels what goes on of a run that has failed or was cancelled. A task loses its lease with its message. Nothing completed
is touched.
A run with a row that belongs to nothing (rule 0) is left as it is: whoever knows what happened has to decide.

Safe while workers work: each run is locked, waiting for reports that are under way, and looked at again. A step or a task that somebody
else has then, a task''s own transaction for example, is left, and the action says "not done": call it again.
After a restore, and whenever a queue has lost all it had, rebuild_queues() does it for all tasks at once.

Errors: QF402 pgmq is missing; QF110 a queue''s name is not valid; QF403 a queue holds messages of somebody else; 0A000 unless the
transaction is read committed.';

create function quantumflow._problems_to_mend()
returns quantumflow.state_problem[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_problems_to_mend$
begin
  return array(
    select row(
      p.rule, p.run_id, p.step_slug, p.task_index, p.queue, p.message_id, p.problem,
      case
        when p.run_id is null or not bool_or(p.rule = 0 and p.remedy is null) over (partition by p.run_id)
        then p.remedy
      end
    )::quantumflow.state_problem
    from quantumflow.check_state() with ordinality p (
      rule, run_id, step_slug, task_index, queue, message_id, problem, remedy, n)
    order by p.n);
end
$_problems_to_mend$;

comment on function quantumflow._problems_to_mend() is
'What check_state() finds, without a remedy for runs with a row that belongs to nothing.';

create function quantumflow._key_of(p_problem quantumflow.state_problem)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_key_of$
begin
  p_problem.problem := null;
  p_problem.remedy := null;

  -- Only rule 2 is about a message. A problem of a task is the same problem when another message was sent.
  if p_problem.rule <> 2 then
    p_problem.queue := null;
    p_problem.message_id := null;
  end if;

  return p_problem::text;
end
$_key_of$;

comment on function quantumflow._key_of(quantumflow.state_problem) is
'Which rule a problem breaks, with what: to find it again.';

create function quantumflow._repair_queues(p_problems quantumflow.state_problem[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_repair_queues$
declare
  v_batch record;
begin
  perform quantumflow._ensure_queue(p.queue, p_is_ours => true)
  from (
    select distinct u.queue
    from unnest(p_problems) u
    where u.remedy is not null
      and u.queue is not null
  ) p
  where not quantumflow._is_there(p.queue);

  -- No run has to be locked for these: a message that belongs to nobody will never belong to somebody.
  for v_batch in
    select p.queue, p.remedy, array_agg(p.message_id order by p.message_id) as msg_ids
    from unnest(p_problems) p
    where p.remedy in ('archive the message', 'remove the message')
    group by p.queue, p.remedy
    order by p.queue, p.remedy
  loop
    if v_batch.remedy = 'archive the message' then
      perform quantumflow._archive_foreign(v_batch.queue, v_batch.msg_ids);
    else
      perform quantumflow._remove_free_messages(v_batch.queue, v_batch.msg_ids);
    end if;
  end loop;

  delete from quantumflow._unfinished_ends e
  using unnest(p_problems) p
  where p.remedy = 'forget it'
    and e.run_id = p.run_id;
end
$_repair_queues$;

comment on function quantumflow._repair_queues(quantumflow.state_problem[]) is
'Makes queues that are missing, and takes out of queues what does not belong there.';

create function quantumflow._repair_runs(p_problems quantumflow.state_problem[], p_now timestamptz)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_repair_runs$
declare
  v_run    record;
  v_errors jsonb := jsonb '{}';
begin
  -- One after the other, in order of their ids: a batch of reports holds the tasks of its runs in that order too.
  for v_run in
    select p.run_id, bool_or(coalesce(p.remedy in ('wake it', 'end its lease at its deadline', 'name the command'), false)) as has_messages
    from unnest(p_problems) p
    where p.run_id is not null
    group by p.run_id
    having bool_or(p.remedy is not null)
    order by p.run_id
  loop
    begin
      perform quantumflow._repair_run(v_run.run_id, v_run.has_messages, p_now);
    exception
      when others then
        -- One run that cannot be mended keeps no other from it.
        v_errors := v_errors || jsonb_build_object(v_run.run_id, sqlerrm);
    end;
  end loop;

  return v_errors;
end
$_repair_runs$;

comment on function quantumflow._repair_runs(quantumflow.state_problem[], timestamptz) is
'Mends the runs that problems name. Returns the error of each that could not be mended, by run.';

create function quantumflow._repair_run(p_run_id uuid, p_has_messages boolean, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_repair_run$
declare
  v_run   quantumflow.workflow_runs := quantumflow._hold_run(p_run_id);
  v_tids  tid[];
  v_steps text[];
begin
  -- Who has a task or a step by now waits for the run, or is a task's own transaction: to wait for one would be a deadlock, or take long.
  -- Nobody makes or changes any. The problems were found before, and may be gone, or others: so all that follows looks again.
  if v_run.status in ('failed', 'cancelled') and quantumflow._has_live_rows(p_run_id) then
    perform quantumflow._stop_runs(array[p_run_id], p_now);
  end if;
  perform quantumflow._stop_steps(quantumflow._stopped_steps(array[p_run_id]), p_now);

  v_tids := quantumflow._free_tasks(
    p_run_id, quantumflow._tasks_without_message(p_run_id, v_run.status not in ('started', 'paused')));
  perform quantumflow._send_again(array_fill(p_run_id, array[cardinality(v_tids)]), v_tids, p_now);

  if p_has_messages then
    perform quantumflow._wake_messages(v_run, p_now);
    perform quantumflow._name_commands_of(v_run);
  end if;

  v_steps := quantumflow._free_steps(v_run);

  -- A map that is counted wrongly is counted in its own row from then on: what it says is counted anew below, or comes to nothing.
  delete from quantumflow._map_counters c
  using quantumflow._check_steps(p_run_id) p
  where c.run_id = p_run_id
    and c.step_slug = p.step_slug
    and p.step_slug = any (v_steps)
    and p.remedy in ('recount', 'complete it');

  perform quantumflow._complete_steps(p_run_id, v_steps, p_now);
  perform quantumflow._recount(p_run_id, v_steps);

  -- A map that could not be gathered has failed the run.
  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = p_run_id;

  if v_run.status = 'started' then
    perform quantumflow._start_ready(v_run, p_now);
  end if;

  if v_run.parent_run_id is not null then
    perform quantumflow._note_children(quantumflow._busy_after_a_look(array[p_run_id], p_now), p_now);
  end if;

  perform quantumflow._let_children_go(p_run_id, p.step_slug, quantumflow._children_that_may_go(p_run_id, p.step_slug), p_now)
  from quantumflow._check_children(p_run_id) p
  where p.remedy = 'let children go'
    and p.step_slug = any (v_steps);

  perform quantumflow._make_deadlines(array[p.run_id], p_now)
  from quantumflow._check_waits(p_run_id) p
  where p.remedy = 'set its deadline';

  if exists (select from quantumflow._check_runs(p_run_id) p where p.remedy = 'end it') then
    perform quantumflow._finish_runs(
      quantumflow._gather_outputs(array[row(v_run.id, null, v_run.workflow_slug, v_run.version)::quantumflow._ended_run]),
      p_now);
  end if;

  perform quantumflow._fire_callbacks(array[p.run_id], p_now)
  from quantumflow._check_runs(p_run_id) p
  where p.remedy = 'make it';
end
$_repair_run$;

comment on function quantumflow._repair_run(uuid, boolean, timestamptz) is
'Mends one run: locks it, waiting, and then brings its messages, steps and counters in line with its tasks, except for steps and tasks
that somebody else has.

Errors: QF201 the run is gone.';

create function quantumflow._free_tasks(p_run_id uuid, p_tids tid[])
returns tid[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_free_tasks$
begin
  return array(
    select t.ctid
    from quantumflow.step_tasks t
    where t.run_id = p_run_id
      and t.ctid = any (p_tids)
    order by t.step_slug, t.task_index
    for update skip locked);
end
$_free_tasks$;

comment on function quantumflow._free_tasks(uuid, tid[]) is
'Locks those of these tasks that nobody else has, and returns where their rows are. The caller holds their run.';

create function quantumflow._free_steps(p_run quantumflow.workflow_runs)
returns text[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_free_steps$
declare
  v_tids tid[] := array(
    select t.ctid
    from quantumflow.step_tasks t
    join quantumflow.workflow_steps w
      on (w.workflow_slug, w.version, w.step_slug) = (p_run.workflow_slug, p_run.version, t.step_slug)
    where t.run_id = p_run.id
      and t.status in ('queued', 'started')
      and w.known_tasks is not null);
  v_free tid[] := quantumflow._free_tasks(p_run.id, v_tids);
  v_here tid[] := array(
    select c.ctid
    from quantumflow._map_counters c
    where c.run_id = p_run.id
    for update skip locked);
begin
  -- Who reports the only task of a step holds that, and not the step; and who reports a task of a large map a counter of it.
  return array(
    select s.step_slug
    from quantumflow.step_states s
    where s.run_id = p_run.id
      and s.step_slug not in (
        select t.step_slug
        from quantumflow.step_tasks t
        where t.run_id = p_run.id
          and t.ctid in (select unnest(v_tids) except select unnest(v_free))
      )
      and s.step_slug not in (
        select c.step_slug
        from quantumflow._map_counters c
        where c.run_id = p_run.id
          and c.ctid <> all (v_here)
      )
    order by s.step_slug
    for update skip locked);
end
$_free_steps$;

comment on function quantumflow._free_steps(quantumflow.workflow_runs) is
'Locks the steps of a run that nobody else has, and returns their names. The caller holds the run.';

create function quantumflow._complete_steps(p_run_id uuid, p_step_slugs text[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_complete_steps$
declare
  v_step  record;
  v_again quantumflow._step_ref[];
begin
  for v_step in
    select s.step_slug, s.remaining_tasks, r.workflow_slug, r.version, w.gathers, w.repeats, w.dependents
    from quantumflow._check_steps(p_run_id) p
    join quantumflow.step_states s
      on (s.run_id, s.step_slug) = (p.run_id, p.step_slug)
    join quantumflow.workflow_runs r
      on r.id = s.run_id
    join quantumflow.workflow_steps w
      on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
    where p.remedy = 'complete it'
      and s.step_slug = any (p_step_slugs)
    order by s.step_slug
  loop
    if v_step.gathers then
      perform quantumflow._end_map(
        p_run_id, v_step.step_slug, v_step.workflow_slug, v_step.version, v_step.remaining_tasks, p_now);
    elsif v_step.repeats then
      v_again := (quantumflow._turn_loops(
        array[row(
          p_run_id, v_step.step_slug, v_step.workflow_slug, v_step.version, true, v_step.dependents, true, null
        )::quantumflow._step_ref],
        p_now)).again;
      perform quantumflow._advance('{}', v_again, p_now);
    else
      update quantumflow.step_states s
      set
        remaining_tasks = 0,
        status = 'completed',
        completed_at = p_now
      where (s.run_id, s.step_slug) = (p_run_id, v_step.step_slug)
        and s.status = 'started';
    end if;
  end loop;
end
$_complete_steps$;

comment on function quantumflow._complete_steps(uuid, text[], timestamptz) is
'Completes those of these steps of a run whose tasks are all completed; a loop goes on, or ends, as its condition says. What waits for them is
counted and started after that.';

create function quantumflow._recount(p_run_id uuid, p_step_slugs text[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_recount$
begin
  update quantumflow.step_states s
  set
    remaining_deps = case when f.deps_can_be_set then f.open_deps else s.remaining_deps end,
    remaining_tasks = case when f.tasks_can_be_set then f.initial_tasks - f.completed - f.failed_tasks else s.remaining_tasks end
  from quantumflow._step_facts(p_run_id) f
  where (s.run_id, s.step_slug) = (f.run_id, f.step_slug)
    and s.step_slug = any (p_step_slugs)
    and (f.remaining_deps <> f.open_deps or f.remaining_tasks <> f.initial_tasks - f.completed - f.failed_tasks);

  update quantumflow.workflow_runs r
  set
    remaining_steps = k.open_steps,
    gave_up = case when r.gave_up is not null or k.given_up > 0 then k.given_up end
  from (
    select
      count(*) filter (where not quantumflow._has_ended(s.status, w.goes_on)) as open_steps,
      quantumflow._given_up(p_run_id) as given_up
    from quantumflow.step_states s
    join quantumflow.workflow_runs o
      on o.id = s.run_id
    join quantumflow.workflow_steps w
      on (w.workflow_slug, w.version, w.step_slug) = (o.workflow_slug, o.version, s.step_slug)
    where s.run_id = p_run_id
  ) k
  where r.id = p_run_id
    and (r.remaining_steps <> k.open_steps or coalesce(r.gave_up, 0) <> k.given_up);
end
$_recount$;

comment on function quantumflow._recount(uuid, text[]) is
'Counts the tasks, dependencies and steps of a run that are not done, and what it gave up, and corrects what the run, and these of its steps,
say otherwise.';
