-- What settles tasks that no worker is given, whoever calls it: settle(), a sweep, who sends a signal, or who ends a child. It waits for
-- nothing, so it is held up by nobody: what somebody has a row of comes back in 100 ms.
--
--     the messages that are due                         locked by who calls this
--     their runs (shared), their tasks                  _hold_messages
--     their steps, the runs, what waits for the steps   _hold_to_settle
--     the signals that waits take                       _take_signals
--     now nothing of it changes any more: what each comes to is judged, and then written

create function quantumflow._settle_guarded(p_messages quantumflow._message[], p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_settle_guarded$
declare
  v_message quantumflow._message;
  v_error   text;
  v_settled int := 0;
begin
  begin
    return quantumflow._settle_due(p_messages, p_now);
  exception
    when others then
      -- A deadlock, a lack of memory or a shutdown says nothing of the tasks.
      if quantumflow._is_of_the_call(sqlstate) then
        raise;
      end if;

      v_error := format('%s (%s)', sqlerrm, sqlstate);
  end;

  if cardinality(p_messages) = 1 then
    perform quantumflow._put_unsettled_back(p_messages[1], v_error, p_now);
    return 0;
  end if;

  foreach v_message in array p_messages loop
    v_settled := v_settled + quantumflow._settle_guarded(array[v_message], p_now);
  end loop;

  return v_settled;
end
$_settle_guarded$;

comment on function quantumflow._settle_guarded(quantumflow._message[], timestamptz) is
'Settles the tasks of messages that the caller has locked, and returns how many; if that raises, each by itself, so that one that cannot be
settled keeps no other from it: it comes back in a minute. Raises errors of class 40, 53 and 57.';

create function quantumflow._put_unsettled_back(p_message quantumflow._message, p_error text, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_put_unsettled_back$
begin
  perform quantumflow._set_vt(quantumflow._system_queue(), array[p_message.msg_id], array[p_now + interval '60 s']);

  update quantumflow.step_tasks t
  set error_message = quantumflow._cut('could not be settled: ' || p_error)
  from (
    select l.run_id, l.ctid as tid
    from quantumflow.step_tasks l
    where (l.run_id, l.step_slug) = (quantumflow._as_uuid(p_message.run_id), p_message.step_slug)
      and l.task_index = quantumflow._as_number(p_message.task_index, 9)::int
      and l.status = 'queued'
    for update skip locked
  ) k
  where t.run_id is not distinct from k.run_id
    and t.ctid = k.tid;

  raise warning 'step % of run % could not be settled: %', p_message.step_slug, p_message.run_id, p_error
  using hint = 'It is tried again in a minute, and why(run_id) tells.';
end
$_put_unsettled_back$;

comment on function quantumflow._put_unsettled_back(quantumflow._message, text, timestamptz) is
'Puts back for a minute what could not be settled, and says why, in its row and in a warning.';

create function quantumflow._settle_due(p_messages quantumflow._message[], p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_settle_due$
declare
  v_queue text := quantumflow._system_queue();
  v_held  quantumflow._held_task[] := quantumflow._hold_messages(v_queue, p_messages);
  v_due   quantumflow._due_task[];
begin
  perform quantumflow._sort_out(v_queue, p_messages, v_held, p_now);

  v_due := quantumflow._hold_to_settle(array(select h from unnest(v_held) h where h.outcome = 'claim' order by h.ord), p_now);

  for v_turn in 1 .. coalesce((select max(d.turn) from unnest(v_due) d), 0) loop
    v_due := quantumflow._take_signals(v_due, v_turn, p_now);
  end loop;

  v_due := quantumflow._judge_due(v_due, p_now);

  if exists (select from unnest(v_due) d where d.verdict = 'asks') then
    v_due := quantumflow._move_children(quantumflow._judge_children(v_due, p_now), p_now);
  end if;

  perform quantumflow._set_vt(v_queue, array_agg((d.held).message_id), array_agg(d.later_at))
  from unnest(v_due) d
  where d.verdict = 'later';

  perform quantumflow._drop_due(array(select d.held from unnest(v_due) d where d.verdict = 'drops'));
  perform quantumflow._complete_due(array(select d from unnest(v_due) d where d.verdict = 'completes'), p_now);
  perform quantumflow._fail_due(array(select d from unnest(v_due) d where d.verdict = 'fails'), p_now);

  -- Of a map of children one that is done lets the next one go, if it was let go itself.
  if exists (
    select from unnest(v_due) d where d.child_flow is not null and (d.held).known_tasks is null and d.verdict in ('completes', 'fails'))
  then
    perform quantumflow._let_children_go(k.run_id, k.step_slug, k.tasks, p_now)
    from (
      select (d.held).run_id, (d.held).step_slug, count(*)::int as tasks
      from unnest(v_due) d
      where d.child_flow is not null
        and (d.held).known_tasks is null
        and d.verdict in ('completes', 'fails')
      group by 1, 2
      order by 1, 2
    ) k;
  end if;

  return (select count(*)::int from unnest(v_due) d where d.verdict in ('completes', 'fails', 'starts', 'retries'));
end
$_settle_due$;

comment on function quantumflow._settle_due(quantumflow._message[], timestamptz) is
'Settles the tasks of messages that the caller has locked, as far as nobody holds what that takes, and returns how many, runs that were started or
tried again included.';

create function quantumflow._hold_to_settle(p_held quantumflow._held_task[], p_now timestamptz)
returns quantumflow._due_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_to_settle$
declare
  v_steps quantumflow._due_task[];
  v_runs  uuid[];
  v_busy  uuid[];
  v_free  quantumflow._due_task[];
begin
  if p_held = '{}' then
    return '{}';
  end if;

  -- What belongs to no step, as a run's deadline, has none to lock.
  v_steps := array(
    select row(
      h, w.signals, w.tells_signal, w.sleep_until, w.feeds_map, r.begins_at, s.started_at,
      case when w.signals is not null then row_number() over (
        partition by h.run_id, w.signals is not null
        order by s.started_at, h.step_slug)::int end,
      false, null, null, null, null, null, null, null, w.child_flow, s.fresh_since, null, null, null, null, w.plan, null
    )::quantumflow._due_task
    from unnest(p_held) h
    cross join lateral (
      select l.signals, l.tells_signal, l.sleep_until, l.feeds_map, l.child_flow, l.plan
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (h.workflow_slug, h.version, h.step_slug)
      limit 1
    ) w
    cross join lateral (
      select l.started_at as begins_at
      from quantumflow.workflow_runs l
      where l.id = h.run_id
      limit 1
    ) r
    left join lateral (
      select l.started_at, l.fresh_since
      from quantumflow.step_states l
      where (l.run_id, l.step_slug) = (h.run_id, h.step_slug)
        and l.status = 'started'
      for no key update skip locked
    ) s on true
    where s.started_at is not null
      or not h.counts);

  v_runs := array(
    select r.id
    from (
      select (d.held).run_id as run_id, bool_and((d.held).counts and (d.held).status = 'queued') as is_to_go_on
      from unnest(v_steps) d
      group by 1
      order by 1
      offset 0
    ) k
    cross join lateral (
      select l.id
      from quantumflow.workflow_runs l
      where l.id = k.run_id
        and l.status in ('started', 'paused')
        and (l.status = 'started' or not k.is_to_go_on)
      for no key update skip locked
    ) r);

  v_busy := quantumflow._busy_dependents(
    array(select d.held from unnest(v_steps) d where (d.held).run_id = any (v_runs) and (d.held).counts));

  v_free := array(
    select d
    from unnest(v_steps) d
    where (d.held).run_id = any (v_runs)
      and (d.held).run_id <> all (v_busy));

  if cardinality(v_free) < cardinality(p_held) then
    perform quantumflow._set_vt(
      quantumflow._system_queue(), array_agg(h.message_id), array_agg(p_now + interval '100 ms'))
    from unnest(p_held) h
    where h.message_id <> all (array(select (d.held).message_id from unnest(v_free) d));
  end if;

  return v_free;
end
$_hold_to_settle$;

comment on function quantumflow._hold_to_settle(quantumflow._held_task[], timestamptz) is
'Tries to lock what it takes to settle tasks, without waiting: their steps, their runs, which go on, and what their steps'' ends would move.
Returns those of which it got all; the messages of the others come back in 100 ms. The caller holds the runs (FOR KEY SHARE), the tasks and
the messages.';

create function quantumflow._busy_dependents(p_held quantumflow._held_task[])
returns uuid[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_busy_dependents$
declare
  v_wanted quantumflow._step_ref[];
begin
  -- What is skipped, or a map of nothing, lets others start or end in turn: then all that has not started.
  v_wanted := array(
    select row(k.run_id, s.step_slug, null, null, null, null, null, null)::quantumflow._step_ref
    from (
      select h.run_id, array_agg(n.step_slug) as step_slugs, bool_or(not n.plain or n.known_tasks is null) as may_go_far
      from unnest(p_held) h
      cross join lateral (
        select l.dependents
        from quantumflow.workflow_steps l
        where (l.workflow_slug, l.version, l.step_slug) = (h.workflow_slug, h.version, h.step_slug)
        limit 1
      ) w
      cross join lateral (
        select l.step_slug, l.plain, l.known_tasks
        from unnest(w.dependents) u (slug)
        cross join lateral (
          select o.step_slug, o.plain, o.known_tasks
          from quantumflow.workflow_steps o
          where (o.workflow_slug, o.version, o.step_slug) = (h.workflow_slug, h.version, u.slug)
          limit 1
        ) l
      ) n
      group by h.run_id
    ) k
    cross join lateral (
      select l.step_slug
      from quantumflow.step_states l
      where l.run_id = k.run_id
        and (l.step_slug = any (k.step_slugs) or (k.may_go_far and l.status = 'created'))
    ) s);

  return array(
    select distinct k.run_id
    from unnest(v_wanted) k
    left join lateral (
      select true as is_held
      from quantumflow.step_states l
      where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
      for no key update skip locked
    ) s on true
    where s.is_held is null);
end
$_busy_dependents$;

comment on function quantumflow._busy_dependents(quantumflow._held_task[]) is
'Tries to lock the steps that start, or may end, when those of these tasks end, and returns the runs of which somebody holds one. The caller
holds the runs.';

create function quantumflow._take_signals(p_due quantumflow._due_task[], p_turn int, p_now timestamptz)
returns quantumflow._due_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_take_signals$
declare
  v_due   quantumflow._due_task[] := p_due;
  v_taken record;
begin
  for v_taken in
    with wanted as materialized (
      select d.ordinality as n, (d.held).run_id, (d.held).step_slug, (d.held).workflow_slug, (d.held).version, d.step_started_at, g.number, g.signal
      from unnest(p_due) with ordinality d
      cross join lateral (
        select l.number, l.signal
        from quantumflow.signals l
        where l.run_id = (d.held).run_id
          and l.signal = any (d.signals)
          and l.taken_at is null
        order by l.number
        limit 1
      ) g
      where d.turn = p_turn
        and d.begins_at <= p_now
    ),
    free as materialized (
      select w.n, w.run_id, w.step_slug, w.signal, l.tid, l.payload
      from wanted w
      cross join lateral (
        select k.ctid as tid, k.payload
        from quantumflow.signals k
        where (k.run_id, k.number) = (w.run_id, w.number)
        for update skip locked
      ) l
      where not quantumflow._is_wanted_before(
        w.run_id, w.workflow_slug, w.version, w.step_slug, w.step_started_at, w.signal,
        array(select (e.held).step_slug from unnest(p_due) e where (e.held).run_id = w.run_id))
    ),
    taken as (
      update quantumflow.signals s
      set
        taken_at = p_now,
        step_slug = f.step_slug
      from free f
      where s.run_id is not distinct from f.run_id
        and s.ctid = f.tid
      returning f.n, f.signal, f.payload
    )
    select w.n, t.signal, t.payload
    from wanted w
    left join taken t
      on t.n = w.n
  loop
    v_due[v_taken.n].is_busy := v_taken.signal is null;
    v_due[v_taken.n].signal := v_taken.signal;
    v_due[v_taken.n].payload := v_taken.payload;
  end loop;

  return v_due;
end
$_take_signals$;

comment on function quantumflow._take_signals(quantumflow._due_task[], int, timestamptz) is
'Gives the oldest signal that it waits for to each wait whose turn it is, and notes where there is one that it cannot have yet. The caller holds the
runs: nobody else takes, or sends, a signal of theirs.';

create function quantumflow._is_wanted_before(
  p_run_id        uuid,
  p_workflow_slug text,
  p_version       int,
  p_step_slug     text,
  p_started_at    timestamptz,
  p_signal        text,
  p_except        text[])
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_is_wanted_before$
begin
  return exists (
    select
    from quantumflow.workflow_steps w
    cross join lateral (
      select l.started_at
      from quantumflow.step_states l
      where (l.run_id, l.step_slug) = (p_run_id, w.step_slug)
        and l.status = 'started'
      limit 1
    ) s
    where (w.workflow_slug, w.version) = (p_workflow_slug, p_version)
      and p_signal = any (w.signals)
      and w.step_slug <> all (p_except)
      and (s.started_at, w.step_slug) < (p_started_at, p_step_slug)
    offset 0
  );
end
$_is_wanted_before$;

comment on function quantumflow._is_wanted_before(uuid, text, int, text, timestamptz, text, text[]) is
'Whether a step that began to wait earlier wants a signal too, but for those of p_except, whose turn has come already.';

create function quantumflow._judge_due(p_due quantumflow._due_task[], p_now timestamptz)
returns quantumflow._due_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $_judge_due$
declare
  v_due  quantumflow._due_task[] := p_due;
  v_task quantumflow._due_task;
  v_held quantumflow._held_task;
begin
  for n in 1 .. cardinality(v_due) loop
    v_task := v_due[n];
    v_held := v_task.held;
    v_due[n].verdict := 'fails';

    case
      when v_task.child_flow is not null then
        v_due[n].verdict := 'asks';
      when not v_held.counts and v_held.task_index <> v_held.retries then
        v_due[n].verdict := 'drops';
      when v_held.counts and v_task.begins_at > p_now then
        v_due[n].verdict := 'later';
        v_due[n].later_at := v_task.begins_at;
      when v_task.is_busy then
        v_due[n].verdict := 'later';
        v_due[n].later_at := p_now + interval '100 ms';
      when v_task.signal is not null then
        v_due[n].output := case
          when v_task.tells_signal then jsonb_build_object('signal', v_task.signal, 'payload', v_task.payload)
          else v_task.payload
        end;
        v_due[n].kind := 'error';
        v_due[n].error_message := coalesce(
          case
            when not quantumflow._fits(v_task.feeds_map, null, v_held.run_id, v_held.step_slug, 0, v_due[n].output)
            then quantumflow._violation(v_due[n].output, null)
          end,
          quantumflow._excess(v_due[n].output, v_task.feeds_map));
        v_due[n].verdict := case when v_due[n].error_message is null then 'completes' else 'fails' end;
      when v_held.queued_at > p_now then
        v_due[n].verdict := 'later';
        v_due[n].later_at := v_held.queued_at;
      when not v_held.counts then
        v_due[n].kind := 'timeout';
        v_due[n].error_message := format('the run took longer than %s (run_timeout)', v_held.timeout);
      when v_task.signals is not null then
        v_due[n].kind := 'timeout';
        v_due[n].error_message := format(
          'no signal %s came within %s',
          (select string_agg(format('"%s"', s.signal), ' or ' order by s.n) from unnest(v_task.signals) with ordinality s (signal, n)),
          v_held.timeout);
      when v_task.sleep_until is not null and quantumflow._sleeps_until(v_held.run_id, v_held.step_slug) is null then
        v_due[n].kind := 'condition';
        v_due[n].error_message := format('it sleeps until no one moment: %s', v_task.sleep_until);
      else
        v_due[n].verdict := 'completes';
        v_due[n].output := jsonb_build_object('until', v_held.queued_at);
    end case;
  end loop;

  return v_due;
end
$_judge_due$;

comment on function quantumflow._judge_due(quantumflow._due_task[], timestamptz) is
'What tasks whose messages are due come to. A signal that came after the deadline, but before anybody noticed, counts. Moments are in UTC, whoever settles.';

create function quantumflow._drop_due(p_held quantumflow._held_task[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_drop_due$
begin
  if p_held = '{}' then
    return;
  end if;

  update quantumflow.step_tasks t
  set status = 'cancelled'
  from unnest(p_held) h
  where t.run_id is not distinct from h.run_id
    and t.ctid = h.tid;

  perform quantumflow._remove_messages(quantumflow._system_queue(), array(select h.message_id from unnest(p_held) h));
end
$_drop_due$;

comment on function quantumflow._drop_due(quantumflow._held_task[]) is 'Cancels tasks that nobody waits for any more.';

create function quantumflow._complete_due(p_due quantumflow._due_task[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_complete_due$
declare
  v_progress quantumflow._progress;
begin
  if p_due = '{}' then
    return;
  end if;

  -- From a signal on it was due.
  update quantumflow.step_tasks t
  set
    status = 'completed',
    attempts = t.attempts + ((d.held).status = 'queued')::int,
    queued_at = least(t.queued_at, p_now),
    started_at = case (d.held).status when 'started' then t.started_at else p_now end,
    completed_at = p_now,
    output = d.output,
    gave_up = nullif(d.child_gave_up, 0),
    error_message = null
  from unnest(p_due) d
  where t.run_id is not distinct from (d.held).run_id
    and t.ctid = (d.held).tid;

  v_progress := quantumflow._progress_of(
    array(select (d.held).run_id from unnest(p_due) d),
    array(select (d.held).step_slug from unnest(p_due) d));

  if v_progress.has_maps then
    v_progress := quantumflow._hold_maps(v_progress);
  end if;

  perform quantumflow._move_on(v_progress, p_now);

  perform quantumflow._remove_messages(
    quantumflow._system_queue(), array(select (d.held).message_id from unnest(p_due) d order by 1));
end
$_complete_due$;

comment on function quantumflow._complete_due(quantumflow._due_task[], timestamptz) is
'Completes tasks with their outputs, and moves their runs on.';

create function quantumflow._fail_due(p_due quantumflow._due_task[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fail_due$
declare
  v_held quantumflow._held_task[] := array(select d.held from unnest(p_due) d);
begin
  if p_due = '{}' then
    return;
  end if;

  for n in 1 .. cardinality(v_held) loop
    v_held[n].outcome := 'fails';
  end loop;

  v_held := quantumflow._judge_failures(v_held, '{}');

  perform quantumflow._fail_for_good(
    array(
      select row(v_held[d.ordinality], d.kind, d.error_message, null, false)::quantumflow._failed_attempt
      from unnest(p_due) with ordinality d),
    p_now);

  perform quantumflow._fail_run((d.held).run_id, d.error_message, p_now)
  from unnest(p_due) d
  where not (d.held).counts;

  -- A child's failure is final now, and what goes on of one is not wanted any more.
  if exists (select from unnest(p_due) d where d.child_status = 'failed') then
    perform quantumflow._fire_callbacks(array(select d.child_id from unnest(p_due) d where d.child_status = 'failed'), p_now);
  end if;

  if exists (select from unnest(p_due) d where d.child_status in ('started', 'paused')) then
    perform quantumflow._end_children(array(select distinct (d.held).run_id from unnest(p_due) d), p_now);
  end if;
end
$_fail_due$;

comment on function quantumflow._fail_due(quantumflow._due_task[], timestamptz) is
'Fails tasks for good, and their steps and runs, or lets these go on without them; and runs whose deadline has passed. The caller holds the runs FOR NO
KEY UPDATE: see _stop_runs.';

create function quantumflow._settle_parents(p_run_ids uuid[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_settle_parents$
declare
  v_queue    text := quantumflow._system_queue();
  v_children uuid[] := p_run_ids;
  v_parents  uuid[];
  v_msg_ids  bigint[];
  v_messages quantumflow._message[];
begin
  -- A parent that ends by this may be somebody's child too.
  loop
    select array_agg(distinct t.run_id), array_agg(t.message_id order by t.message_id)
    into v_parents, v_msg_ids
    from unnest(v_children) u (run_id)
    cross join lateral (
      select l.parent_run_id, l.parent_step_slug, l.parent_task_index
      from quantumflow.workflow_runs l
      where l.id = u.run_id
        and l.parent_run_id is not null
        and l.status in ('completed', 'failed', 'cancelled')
      limit 1
    ) c
    cross join lateral (
      select l.run_id, l.message_id
      from quantumflow.step_tasks l
      where (l.run_id, l.step_slug, l.task_index) = (c.parent_run_id, c.parent_step_slug, c.parent_task_index)
        and l.status = 'started'
      limit 1
    ) t;

    exit when v_msg_ids is null or quantumflow._hold_queue(v_queue) is null or quantumflow._is_copy();

    v_messages := quantumflow._lock_messages(v_queue, v_msg_ids, 'infinity');
    exit when v_messages = '{}';

    perform quantumflow._settle_guarded(v_messages, p_now);
    v_children := v_parents;
  end loop;
end
$_settle_parents$;

comment on function quantumflow._settle_parents(uuid[], timestamptz) is
'Lets the parents of those of these children that have ended go on here and now, where nobody holds a row of it; else whoever settles next does, for
whom their end has made it due.';
