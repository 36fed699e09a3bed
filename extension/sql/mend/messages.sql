-- What mends the messages of tasks: those that are missing, those that sleep without a reason, a queue that is made anew.

create function quantumflow._live_queues(p_run_id uuid)
returns setof text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_live_queues$
begin
  return query
  select k.queue
  from (
    select distinct t.queue
    from quantumflow.step_tasks t
    where t.run_id = p_run_id
      and t.status in ('queued', 'started')
    order by t.queue
    offset 0
  ) k
  where quantumflow._hold_queue(k.queue) is not null;
end
$_live_queues$;

comment on function quantumflow._live_queues(uuid) is
'The queues of the queued and started tasks of a run, by name, without those that are gone or somebody else''s. They are held then.';

create function quantumflow._tasks_without_message(p_run_id uuid, p_callbacks_only boolean)
returns tid[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_tasks_without_message$
declare
  v_queue text;
  v_found tid[];
  v_tids  tid[] := array[]::tid[];
begin
  for v_queue in
    select *
    from quantumflow._live_queues(p_run_id)
  loop
    execute format(
      $$
      select array_agg(t.ctid order by t.step_slug, t.task_index)
      from quantumflow.step_tasks t
      where t.run_id = $1
        and t.queue = $2
        and t.status in ('queued', 'started')
        and (
          not $3
          or exists (
            select
            from quantumflow.workflow_runs r
            join quantumflow.workflow_steps w
              on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, t.step_slug)
            where r.id = t.run_id
              and not w.counts
            offset 0
          )
        )
        and not exists (
          select
          from pgmq.%I q
          where q.msg_id = t.message_id
            and q.message ->> 'workflow_run_id' = t.run_id::text
            and q.message ->> 'step_name' = t.step_slug
            and q.message ->> 'task_index' = t.task_index::text
        )
      $$,
      'q_' || v_queue)
    using p_run_id, v_queue, p_callbacks_only
    into v_found;

    v_tids := v_tids || v_found;
  end loop;

  return v_tids;
end
$_tasks_without_message$;

comment on function quantumflow._tasks_without_message(uuid, boolean) is
'Where the rows are of those queued and started tasks of a run, or of its callback alone, whose message is not in their queue. The
caller holds them.';

create function quantumflow._name_commands_of(p_run quantumflow.workflow_runs)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_name_commands_of$
declare
  v_queue    text;
  v_msg_ids  bigint[];
  v_commands text[];
begin
  for v_queue in
    select *
    from quantumflow._live_queues(p_run.id)
  loop
    -- Locked, since a claim that has the message in its hands may name it, too.
    execute format(
      $$
      select array_agg(l.msg_id), array_agg(l.command)
      from (
        select q.msg_id, w.command
        from quantumflow.step_tasks t
        join quantumflow.workflow_steps w
          on (w.workflow_slug, w.version, w.step_slug) = ($2, $3, t.step_slug)
        join pgmq.%I q
          on q.msg_id = t.message_id
        where t.run_id = $1
          and t.queue = $4
          and t.status in ('queued', 'started')
          and q.message ->> 'workflow_run_id' = t.run_id::text
          and quantumflow._command_of(q.message) is distinct from w.command
        order by q.msg_id
        for update of q
      ) l
      $$,
      'q_' || v_queue)
    using p_run.id, p_run.workflow_slug, p_run.version, v_queue
    into v_msg_ids, v_commands;

    perform quantumflow._name_commands(v_queue, v_msg_ids, v_commands);
  end loop;
end
$_name_commands_of$;

comment on function quantumflow._name_commands_of(quantumflow.workflow_runs) is
'Lets the messages of a run''s tasks name the commands of their steps, if they name others. The caller holds the run with its tasks.';

create function quantumflow._wake_messages(p_run quantumflow.workflow_runs, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_wake_messages$
declare
  v_queue   text;
  v_msg_ids bigint[];
  v_vts     timestamptz[];
begin
  for v_queue in
    select *
    from quantumflow._live_queues(p_run.id)
  loop
    execute format(
      $$
      select
        coalesce(array_agg(t.message_id order by t.message_id), '{}'),
        array_agg(
          case
            when t.status = 'queued' then quantumflow._shown_at(t.run_id, w.signals, t.queued_at, $2, $3)
            when w.settled or q.vt = 'infinity' then $3
            else greatest(w.deadline, $3)
          end
          order by t.message_id)
      from quantumflow.step_tasks t
      cross join lateral (
        select m.vt
        from pgmq.%I m
        where m.msg_id = t.message_id
        limit 1
      ) q
      cross join lateral (
        select t.started_at + l.timeout as deadline, l.counts, l.signals, l.settled
        from quantumflow.workflow_steps l
        where (l.workflow_slug, l.version, l.step_slug) = ($6, $7, t.step_slug)
        limit 1
      ) w
      where t.run_id = $1
        and t.queue = $4
        and (
          (t.status = 'started' and (q.vt > w.deadline or (w.settled and q.vt > $3)))
          or (
            t.status = 'queued'
            and q.vt = 'infinity'
            and ($5 <> 'paused' or not w.counts)
            and not quantumflow._waits_for_limit(t.run_id, t.step_slug, t.task_index, t.message_id)
            and not exists (select from quantumflow._parked k where (k.queue, k.message_id) = (t.queue, t.message_id))
          )
          or (q.vt > $3 and w.signals is not null and $5 <> 'paused' and quantumflow._has_signal(t.run_id, w.signals))
        )
      $$,
      'q_' || v_queue)
    using p_run.id, p_run.priority, p_now, v_queue, p_run.status, p_run.workflow_slug, p_run.version
    into v_msg_ids, v_vts;

    perform quantumflow._redelay(v_queue, v_msg_ids, v_vts);
  end loop;
end
$_wake_messages$;

comment on function quantumflow._wake_messages(quantumflow.workflow_runs, timestamptz) is
'Makes messages visible that sleep although they should not: those of queued tasks at their places in the queue, those of waits whose signal
lies there, and of what waits for a child, at once, those of started
tasks at once, and at its deadline what is leased beyond that. The caller holds the run with its tasks.';

create function quantumflow._queue_model()
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_queue_model$
declare
  v_queue text := 'quantumflow_' || replace(gen_random_uuid()::text, '-', '');
  v_model jsonb;
begin
  -- Only the installed pgmq knows what its queues look like: so it makes one, which is then undone. To drop it would delete from pgmq's
  -- list of queues, and that has no key: where all tables are published PostgreSQL refuses it.
  begin
    perform pgmq.create(v_queue);

    select jsonb_agg(
      jsonb_build_object(
        'prefix', k.prefix,
        'name', a.attname,
        'type', format_type(a.atttypid, a.atttypmod),
        'default', pg_get_expr(f.adbin, f.adrelid))
      order by k.prefix, a.attnum)
    into v_model
    from unnest(array['q_', 'a_']) k (prefix)
    join pg_attribute a
      on a.attrelid = to_regclass(format('pgmq.%I', k.prefix || v_queue))
    left join pg_attrdef f
      on (f.adrelid, f.adnum) = (a.attrelid, a.attnum)
    where a.attnum > 0
      and not a.attisdropped;

    raise exception using errcode = 'U0000';
  exception
    when sqlstate 'U0000' then
      return v_model;
  end;
end
$_queue_model$;

comment on function quantumflow._queue_model() is
'What the queues are like that the installed pgmq makes: each column of the queue''s and its archive''s table, with "prefix" (q_ or a_),
"name", "type" and "default".';

create function quantumflow._renew_queue(p_queue text, p_model jsonb)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set enable_nestloop = off
set jit = off
as $_renew_queue$
declare
  v_column  record;
  v_foreign bigint[];
begin
  if quantumflow._is_there(p_queue) and quantumflow._hold_queue(p_queue) is null then
    perform quantumflow._raise_unusable_queue(p_queue);
  end if;

  perform quantumflow._refuse_additions(p_queue, p_model);

  perform quantumflow._create_queue(p_queue);

  insert into quantumflow._own_queues (queue)
  values (p_queue)
  on conflict do nothing;

  -- A dump of an older pgmq brings tables without the columns that came later.
  for v_column in
    select k.prefix || p_queue as queue_table, k.name, k.type
    from rows from (jsonb_to_recordset(p_model) as (prefix text, name name, type text)) with ordinality k (prefix, name, type, n)
    where not exists (
      select
      from pg_attribute o
      where o.attrelid = to_regclass(format('pgmq.%I', k.prefix || p_queue))
        and o.attname = k.name
    )
    order by k.n
  loop
    execute format('alter table pgmq.%I add column %I %s', v_column.queue_table, v_column.name, v_column.type);
  end loop;

  execute format(
    $$
    select array_agg(q.msg_id)
    from pgmq.%I q
    where not exists (
      select
      from quantumflow.step_tasks t
      where t.run_id::text = q.message ->> 'workflow_run_id'
        and t.step_slug = q.message ->> 'step_name'
        and t.task_index::text = q.message ->> 'task_index'
    )
    $$,
    'q_' || p_queue)
  into v_foreign;

  if v_foreign is not null then
    perform quantumflow._archive_foreign(p_queue, v_foreign);
  end if;

  execute format('truncate pgmq.%I', 'q_' || p_queue);

  -- Ids go on behind those of the archive, which stays: a message with an id that is there could not be archived.
  execute format(
    $$
    select setval(pg_get_serial_sequence('pgmq.%1$I', 'msg_id'), a.last_id)
    from (select max(o.msg_id) as last_id from pgmq.%2$I o) a
    where a.last_id > nextval(pg_get_serial_sequence('pgmq.%1$I', 'msg_id'))
    $$,
    'q_' || p_queue, 'a_' || p_queue);
end
$_renew_queue$;

comment on function quantumflow._renew_queue(text, jsonb) is
'Empties a queue and makes it like p_model (see _queue_model); its archive stays. The caller has locked the queue.

Errors: QF403 when it cannot be trusted.';

create function quantumflow._refuse_additions(p_queue text, p_model jsonb)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_additions$
declare
  v_addition text;
begin
  select format('%s has something that pgmq does not make: %s %s', t.name, d.kind, d.text)
  into v_addition
  from unnest(array['q_', 'a_']) k (prefix)
  cross join lateral (
    with recursive tables as (
      select c.oid
      from pg_class c
      where c.oid = to_regclass(format('pgmq.%I', k.prefix || p_queue))
      union
      select i.inhrelid
      from tables p
      join pg_inherits i
        on i.inhparent = p.oid
    )
    select a.oid, a.oid::regclass as name, k.prefix
    from tables a
  ) t
  cross join lateral (
    select 'trigger' as kind, g.tgname::text as text
    from pg_trigger g
    where g.tgrelid = t.oid
      and not g.tgisinternal
    union all
    select 'policy', o.polname
    from pg_policy o
    where o.polrelid = t.oid
    union all
    select 'constraint', pg_get_constraintdef(o.oid)
    from pg_constraint o
    where o.conrelid = t.oid
      and o.contype not in ('p', 'u', 'n')
    union all
    select 'default', a.attname || ' ' || pg_get_expr(f.adbin, f.adrelid)
    from pg_attrdef f
    join pg_attribute a
      on (a.attrelid, a.attnum) = (f.adrelid, f.adnum)
    where f.adrelid = t.oid
      and not exists (
        select
        from jsonb_to_recordset(p_model) m (prefix text, name name, "default" text)
        where (m.prefix, m.name) = (t.prefix, a.attname)
          and m."default" = pg_get_expr(f.adbin, f.adrelid)
      )
    union all
    select 'index on an expression', i.indexrelid::regclass::text
    from pg_index i
    where i.indrelid = t.oid
      and (i.indexprs is not null or i.indpred is not null)
      and (pg_get_expr(i.indexprs, i.indrelid) = quantumflow._lane() and i.indpred is null) is not true
    union all
    select 'type', a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
    from pg_attribute a
    join pg_type y
      on y.oid = a.atttypid
    where a.attrelid = t.oid
      and a.attnum > 0
      and y.typnamespace <> 'pg_catalog'::regnamespace
  ) d
  order by 1
  limit 1;

  if found then
    raise exception 'queue "%" cannot be trusted', p_queue
    using
      errcode = 'QF403',
      detail = format('The table %s.', v_addition),
      hint = 'After a restore it may be what somebody else had made, and the restorer''s now. Drop it, or the table, and call it again.';
  end if;
end
$_refuse_additions$;

comment on function quantumflow._refuse_additions(text, jsonb) is
'Refuses a queue to which something was added that runs code, but what p_model has (see _queue_model). A restore makes the restorer the
owner of whatever it could not give to somebody else.

Errors: QF403 when there is such a thing.';
