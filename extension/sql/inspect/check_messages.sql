create function quantumflow._check_ends(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_ends$
begin
  return query
  -- Of one run, what these are joined with is looked up by it, too.
  with live as materialized (
    select l.run_id, l.step_slug, l.task_index, l.queue, l.message_id, l.status
    from quantumflow.step_tasks l
    where (p_run_id is null or l.run_id = p_run_id)
      and l.status <> 'completed'
  )
  select
    case when t.status in ('queued', 'started') then 1 else 9 end,
    t.run_id, t.step_slug, t.task_index, t.queue, t.message_id,
    format('the task is %s although its run is %s', t.status, r.status),
    case when t.status in ('queued', 'started') and r.status in ('failed', 'cancelled') then 'cancel it' end
  from live t
  join quantumflow.workflow_runs r
    on r.id = t.run_id
    and (p_run_id is null or r.id = p_run_id)
  left join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, t.step_slug)
  left join quantumflow.step_states s
    on (s.run_id, s.step_slug) = (t.run_id, t.step_slug)
    and (p_run_id is null or s.run_id = p_run_id)
  where w.counts is not false
    and case
      when t.status in ('queued', 'started')
      then r.status in ('completed', 'failed', 'cancelled')
        and not exists (select from quantumflow._unfinished_ends e where e.run_id = t.run_id)
      -- A step without which its run goes on leaves failed and cancelled tasks, and a tolerant map failed ones.
      when t.status in ('failed', 'cancelled')
      then r.status in ('started', 'paused', 'completed')
        and (s.error_message is null or s.status not in ('completed', 'failed'))
        and (s.failed_tasks is null or t.status = 'cancelled')
    end
  union all
  select 1, t.run_id, t.step_slug, t.task_index, t.queue, t.message_id,
    format('the task is %s although its step is %s', t.status, s.status), 'cancel it'
  from live t
  join quantumflow.step_states s
    on (s.run_id, s.step_slug) = (t.run_id, t.step_slug)
    and (p_run_id is null or s.run_id = p_run_id)
  join quantumflow.workflow_runs r
    on r.id = t.run_id
    and (p_run_id is null or r.id = p_run_id)
    and r.status in ('started', 'paused')
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, t.step_slug)
    and quantumflow._has_ended(s.status, w.goes_on)
  where t.status in ('queued', 'started')
    and not exists (select from quantumflow._unfinished_ends e where e.run_id = t.run_id)
  union all
  select 1, t.run_id, t.step_slug, t.task_index, t.queue, t.message_id,
    case when w.settled then 'the deadline ' else 'the callback ' end
      || format('is %s although its run is %s and was retried %s times', t.status, r.status, r.retries), null
  from live t
  join quantumflow.workflow_runs r
    on r.id = t.run_id
    and (p_run_id is null or r.id = p_run_id)
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, t.step_slug)
    and not w.counts
  where t.status in ('queued', 'started')
    and (
      r.retries <> t.task_index
      or case
        when w.settled
        then r.status in ('completed', 'failed', 'cancelled')
          and not exists (select from quantumflow._unfinished_ends e where e.run_id = t.run_id)
        else t.step_slug is distinct from quantumflow._callback_of(r.status)
      end
    )
  union all
  select 9, s.run_id, s.step_slug, null, null, null,
    format('the step is %s although its run is %s', s.status, r.status),
    case when r.status in ('failed', 'cancelled') then 'cancel it' end
  from quantumflow.step_states s
  join quantumflow.workflow_runs r
    on r.id = s.run_id
  left join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
  where (p_run_id is null or s.run_id = p_run_id)
    and s.status not in ('completed', 'skipped')
    and quantumflow._has_ended(s.status, w.goes_on) is not true
    and (
      r.status = 'completed'
      or (
        r.status in ('failed', 'cancelled')
        and s.status in ('created', 'started')
        and not exists (select from quantumflow._unfinished_ends e where e.run_id = s.run_id)
      )
      or (r.status in ('started', 'paused') and s.status in ('failed', 'cancelled'))
    );
end
$_check_ends$;

comment on function quantumflow._check_ends(uuid) is 'Rules 1 and 9 of check_state.';

create type quantumflow._mismatch as (
  run_id        uuid,
  step_slug     text,
  task_index    int,
  queue         text,
  message_id    bigint,
  has_task      boolean,
  has_message   boolean,
  lane          text,
  vt            timestamptz,
  status        text,
  deadline      timestamptz,
  command       text,
  counts        boolean,
  run_status    text,
  named_status  text,
  is_the_others boolean
);

comment on type quantumflow._mismatch is
'A live task and its message that do not fit, or one of them alone: which they are; of the message its lane and vt; of the task its
status, its deadline, the command of its step, whether that counts, and the status of its run. Of a message without a task: the status of the one
that it names, if there is one, and whether that one names another message.';

create function quantumflow._mismatches(p_run_id uuid)
returns setof quantumflow._mismatch
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_mismatches$
declare
  -- What is put aside because somebody holds it comes back after 100 ms, the message of an attempt whose time is over too.
  v_soon timestamptz := quantumflow._now() + interval '1 s';
begin
  -- Joined by what both say, so that a message and a task belong together only if each names the other.
  return query execute format(
    $$
    select
      coalesce(t.run_id, n.run_id), coalesce(t.step_slug, m.step_slug), coalesce(t.task_index, m.task_index),
      coalesce(t.queue, m.queue), coalesce(t.message_id, m.msg_id), t.run_id is not null, m.msg_id is not null,
      m.command, m.vt, t.status, k.deadline, w.command, w.counts, r.status, n.status, n.message_id <> m.msg_id or n.queue <> m.queue
    from (
      select
        k.run_id, k.run_id::text as run_key, k.step_slug, k.task_index, k.queue, k.message_id, k.status, k.started_at, k.queued_at,
        k.limit_key
      from quantumflow.step_tasks k
      where k.status in ('queued', 'started')
        and ($1 is null or k.run_id = $1)
    ) t
    full join (
      select
        q.queue, q.msg_id, q.vt,
        q.message ->> 'workflow_run_id' as run_key,
        q.message ->> 'step_name' as step_slug,
        quantumflow._command_of(q.message) as command,
        quantumflow._as_number(q.message ->> 'task_index', 9)::int as task_index
      from (%s) q
      where $1 is null or q.message ->> 'workflow_run_id' = $1::text
    ) m
      on (m.queue, m.msg_id, m.run_key, m.step_slug, m.task_index)
        = (t.queue, t.message_id, t.run_key, t.step_slug, t.task_index)
    left join lateral (
      select l.run_id, l.queue, l.message_id, l.status
      from quantumflow.step_tasks l
      where m.msg_id is not null
        and t.run_id is null
        and l.run_id = quantumflow._as_uuid(m.run_key)
        and (l.step_slug, l.task_index) = (m.step_slug, m.task_index)
      limit 1
    ) n on true
    left join lateral (
      select l.status, l.workflow_slug, l.version
      from quantumflow.workflow_runs l
      where l.id = t.run_id
      limit 1
    ) r on true
    left join lateral (
      select l.counts, l.timeout, l.command, l.settled
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, t.step_slug)
      limit 1
    ) w on true
    cross join lateral (
      select t.started_at + w.timeout as deadline
    ) k
    where t.run_id is null
      or m.msg_id is null
      or w.command <> coalesce(m.command, '')
      or (t.status = 'started' and m.vt > k.deadline and m.vt > $2 and m.vt < 'infinity')
      or (
        m.vt = 'infinity'
        and (t.queued_at < 'infinity' or t.status = 'started')
        and not (w.settled and t.status = 'started')
        and case r.status
          when 'started' then t.limit_key is null or not quantumflow._waits_for_limit(t.run_id, t.step_slug, t.task_index, t.message_id)
          when 'paused' then t.status = 'started' or not w.counts
          else not w.counts
        end
        and not (
          t.status = 'queued'
          and exists (select from quantumflow._parked p where (p.queue, p.message_id) = (t.queue, t.message_id))
        )
      )
    $$,
    quantumflow._all_messages())
  using p_run_id, v_soon;
end
$_mismatches$;

comment on function quantumflow._mismatches(uuid) is 'The live tasks and the messages, of one run or of all, that do not belong together as they should.';

create function quantumflow._check_messages(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_messages$
begin
  return query
  select
    2, m.run_id, m.step_slug, m.task_index, m.queue, m.message_id,
    case
      when m.has_message and m.command <> coalesce(m.lane, '')
      then format('the message names the command %L, not that of its step, %L', m.lane, m.command)
      when m.has_task and m.vt = 'infinity' then format('the task is %s but its message sleeps for ever', m.status)
      when m.has_task and m.has_message then format('the task is started and its lease ends %s after its deadline', m.vt - m.deadline)
      when m.has_task and quantumflow._queue_table(m.queue) is null then 'the task''s queue does not exist'
      when m.has_task then format('the task is %s but its message is not in the queue', m.status)
      when m.named_status is null then 'the message names no task'
      when m.is_the_others then 'the message is not the one its task names'
      else format('the message is in the queue although its task is %s', m.named_status)
    end,
    case
      when m.has_message and m.command <> coalesce(m.lane, '') then 'name the command'
      when m.has_task and m.vt = 'infinity' then 'wake it'
      when m.has_task and m.has_message then 'end its lease at its deadline'
      when m.has_task and (not m.counts or m.run_status in ('started', 'paused')) then case m.status
        when 'queued' then 'send it a new message'
        else 'send it a new message, and count its lease as lost'
      end
      when m.has_task and m.run_status in ('failed', 'cancelled') then 'cancel it'
      when m.has_task then null
      when m.named_status is null or m.is_the_others then 'archive the message'
      else 'remove the message'
    end
  from quantumflow._mismatches(p_run_id) m;
end
$_check_messages$;

comment on function quantumflow._check_messages(uuid) is 'Rule 2 of check_state.';
