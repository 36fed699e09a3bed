create function quantumflow._ensure_queue(p_queue text, p_is_ours boolean default false)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_ensure_queue$
begin
  if p_queue is null or p_queue !~ '^[a-z][a-z0-9_]{0,46}$' then
    raise exception 'queue name "%" is not valid', p_queue
    using
      errcode = 'QF110',
      detail = 'A queue name is a lower-case letter, then lower-case letters, digits and underscores, at most 47.',
      hint = 'Choose another name.';
  end if;

  perform quantumflow._require_pgmq();

  if quantumflow._is_there(p_queue) then
    perform quantumflow._accept_queue(p_queue, p_is_ours);
    return;
  end if;

  -- Two definitions may need the same new queue at once: the second waits here, and finds it made.
  insert into quantumflow._own_queues (queue)
  values (p_queue)
  on conflict do nothing;

  if not quantumflow._is_there(p_queue) then
    perform quantumflow._create_queue(p_queue);
  end if;
end
$_ensure_queue$;

comment on function quantumflow._ensure_queue(text, boolean) is
'Makes the pgmq queue when it is not there, with storage settings for a busy queue.

p_is_ours: a definition that is stored names it, so whose it is was asked before.
Errors: QF110 when the name breaks pgmq''s rules or ours; QF402 when pgmq is missing or older than 1.5.1; QF403 when it is somebody
else''s or holds messages of somebody else; QF406 when pgmq is somebody else''s.';

create function quantumflow._is_there(p_queue text)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_is_there$
begin
  -- Asked of the catalog itself: what the session remembers of it may be older than a lock that it has waited for.
  return exists (
    select
    from pg_class c
    where (c.relnamespace, c.relname) = (to_regnamespace('pgmq'), ('q_' || p_queue)::name)
  );
end
$_is_there$;

comment on function quantumflow._is_there(text) is
'Whether there is a relation of a queue''s name, whatever it is.';

create function quantumflow._accept_queue(p_queue text, p_is_ours boolean)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_accept_queue$
begin
  -- Before anything of the table is held, since it takes all of it.
  if p_is_ours or quantumflow._is_named(p_queue) then
    perform quantumflow._make_lanes(p_queue);
  end if;

  if quantumflow._hold_queue(p_queue) is null
    or quantumflow._flaw_of(to_regclass(format('pgmq.%I', 'q_' || p_queue))) is not null
    or quantumflow._flaw_of(to_regclass(format('pgmq.%I', 'a_' || p_queue))) is not null
  then
    perform quantumflow._raise_unusable_queue(p_queue);
  end if;

  perform quantumflow._refuse_foreign_queue(p_queue);

  if not (p_is_ours or quantumflow._is_named(p_queue)) then
    perform quantumflow._raise_unusable_queue(p_queue);
  end if;

  insert into quantumflow._own_queues (queue)
  values (p_queue)
  on conflict do nothing;
end
$_accept_queue$;

comment on function quantumflow._accept_queue(text, boolean) is
'Lets a queue that is there be used, if it can be trusted and is quantumflow''s by name, or p_is_ours.

Errors: QF403 when it is somebody else''s or holds messages of somebody else.';

create function quantumflow._require_pgmq()
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_require_pgmq$
declare
  v_what  text;
  v_owner text;
begin
  if to_regprocedure('pgmq.send_batch(text, jsonb[], jsonb[], timestamptz)') is null then
    raise exception 'pgmq is missing or too old'
    using
      errcode = 'QF402',
      detail = 'quantumflow needs pgmq 1.5.1 or newer in schema pgmq.',
      hint = case
        when to_regnamespace('pgmq') is not null then 'Update it: alter extension pgmq update; where it is plain SQL, by its own scripts.'
        else 'Where the server offers it: create extension pgmq. Elsewhere "quantumflow install --plain", or "quantumflow install --sql '
          '--with-pgmq", brings it; "make install" puts its files onto a server.'
      end;
  end if;

  select k.what, pg_get_userbyid(k.owner)
  into v_what, v_owner
  from quantumflow._parts_of_pgmq() k
  where not quantumflow._is_trusted(k.owner)
  order by k.n
  limit 1;

  if found then
    raise exception 'pgmq belongs to role "%"', v_owner
    using
      errcode = 'QF406',
      detail = format('It owns %s, and what it puts there would run with the rights of quantumflow''s owner.', v_what),
      hint = format(
        'Have pgmq installed by a superuser or by role "%s". If you trust role "%s" with all that quantumflow''s owner may, say so: '
        'insert into quantumflow.settings values (''pgmq_owner'', %L); to install or update: set quantumflow.pgmq_owner = %L; before it.',
        current_user, v_owner, v_owner, v_owner);
  end if;

  select k.flaw
  into v_what
  from quantumflow._parts_of_pgmq() k
  where k.flaw is not null
  order by k.n
  limit 1;

  if found then
    raise exception 'pgmq cannot be trusted'
    using
      errcode = 'QF406',
      detail = format('In pgmq''s schema %s: what it calls would run with the rights of quantumflow''s owner.', v_what),
      hint = 'Have it dropped. Who makes queues of his own needs no right on pgmq''s own tables but to insert, update and delete.';
  end if;
end
$_require_pgmq$;

comment on function quantumflow._require_pgmq() is
'Refuses to work without pgmq, and with one whose owner could run code with our rights.

Errors: QF402 when it is missing or older than 1.5.1; QF406 when it is somebody else''s, or has somebody else''s triggers.';

create function quantumflow._parts_of_pgmq()
returns table (n bigint, what text, owner oid, flaw text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_parts_of_pgmq$
begin
  return query
  select 0::bigint, 'schema pgmq', s.nspowner, null
  from pg_namespace s
  where s.nspname = 'pgmq'

  union all
  -- The tables that pgmq writes to when it makes a queue, or, by foreign keys, when it drops one.
  select 1::bigint, 'table ' || c.oid::regclass, c.relowner, quantumflow._flaw_of(c.oid)
  from pg_class c
  where c.oid in (to_regclass('pgmq.meta'), to_regclass('pgmq.topic_bindings'), to_regclass('pgmq.notify_insert_throttle'))

  union all
  -- The functions that make and drop a queue, and those that they call, in all versions. Another function of such a name can make a call
  -- ambiguous, which PostgreSQL refuses, but cannot be called instead: these have exactly the types that they are given.
  select 1 + k.ordinality, 'function ' || f.oid::regprocedure, f.proowner, null
  from unnest(array[
    'create(text)', 'create_non_partitioned(text)', 'drop_queue(text)', 'send_batch(text, jsonb[], jsonb[], timestamptz)',
    '_send_batch(text, jsonb[], jsonb[], timestamptz)', '_validate_batch_params(jsonb[], jsonb[])', 'delete(text, bigint[])',
    'archive(text, bigint[])', 'format_table_name(text, text)', 'validate_queue_name(text)', 'acquire_queue_lock(text)',
    '_belongs_to_pgmq(text)', '_get_pg_partman_schema()'
  ]) with ordinality k (signature, ordinality)
  join pg_proc f
    on f.oid = to_regprocedure('pgmq.' || k.signature);
end
$_parts_of_pgmq$;

comment on function quantumflow._parts_of_pgmq() is
'What is used of pgmq besides its queues, who owns each, and why a table must not be touched (see _flaw_of).';

create function quantumflow._create_queue(p_queue text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on
as $_create_queue$
declare
  v_is_new boolean := not quantumflow._is_there(p_queue);
  v_table  record;
begin
  -- pgmq would use an archive that is there without its queue, whatever it is.
  if to_regclass(format('pgmq.%I', 'a_' || p_queue)) is not null and quantumflow._queue_table(p_queue, 'a_') is null then
    raise exception 'queue "%" cannot be trusted', p_queue
    using
      errcode = 'QF403',
      detail = format('Of its archive: %s.', quantumflow._flaw_of(to_regclass(format('pgmq.%I', 'a_' || p_queue)))),
      hint = 'Name another queue, or have the archive dropped by whoever owns it.';
  end if;

  -- Not where nothing is missing: pgmq takes a lock for this, and whoever may connect can hold it.
  if quantumflow._is_incomplete(p_queue) then
    perform pgmq.create(p_queue);
  end if;

  -- Somebody else may have made it first.
  if quantumflow._hold_queue(p_queue) is null or quantumflow._hold_queue(p_queue, 'a_') is null then
    perform quantumflow._raise_unusable_queue(p_queue);
  end if;

  -- A claim updates whole pages of messages at once and leaves as many dead ones behind.
  execute format(
    'alter table pgmq.%I set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, '
    'autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0)',
    'q_' || p_queue);

  perform quantumflow._make_lanes(p_queue);

  for v_table in
    select case c.relkind when 'S' then 'sequence' else 'table' end as kind, c.oid::regclass::text as name, c.relowner, c.relacl
    from pg_class c
    where v_is_new
      and c.oid in (
        quantumflow._queue_table(p_queue), quantumflow._queue_table(p_queue, 'a_'),
        to_regclass(pg_get_serial_sequence(format('pgmq.%I', 'q_' || p_queue), 'msg_id'))
      )
  loop
    perform quantumflow._revoke_grants(v_table.kind, v_table.name, v_table.relowner, v_table.relacl);
  end loop;
end
$_create_queue$;

comment on function quantumflow._create_queue(text) is
'Makes a pgmq queue, or what is missing of one, with storage settings for a busy one. Nobody else has rights to a new one.
pgmq''s functions mean backslashes as such, whatever the session says of them.

Errors: QF403 when there is something of its name that cannot be trusted.';

create function quantumflow._is_incomplete(p_queue text)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_is_incomplete$
begin
  return quantumflow._queue_table(p_queue) is null
    or quantumflow._queue_table(p_queue, 'a_') is null
    or not exists (select from pgmq.meta m where m.queue_name = p_queue);
end
$_is_incomplete$;

comment on function quantumflow._is_incomplete(text) is
'Whether a queue, its archive or its entry in pgmq''s list is missing.';

create function quantumflow._refuse_foreign_queue(p_queue text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_foreign_queue$
declare
  v_msg_id bigint;
  v_run_id text;
begin
  execute format('select m.msg_id, m.message ->> ''workflow_run_id'' from pgmq.%I m order by m.msg_id limit 1', 'q_' || p_queue)
  into v_msg_id, v_run_id;

  if v_msg_id is not null
    and not exists (
      select
      from quantumflow.step_tasks t
      where t.run_id = quantumflow._as_uuid(v_run_id)
        and t.message_id = v_msg_id
    )
  then
    raise exception 'queue "%" holds messages of somebody else', p_queue
    using
      errcode = 'QF403',
      detail = format('Its message %s names no task of quantumflow.', v_msg_id),
      hint = 'Name another queue. If the messages are left over from an earlier installation: select pgmq.purge_queue(...).';
  end if;
end
$_refuse_foreign_queue$;

comment on function quantumflow._refuse_foreign_queue(text) is
'Refuses a queue whose first message is not ours: claiming from it would archive what somebody else waits for.

Errors: QF403 when it holds messages of somebody else.';

create function quantumflow._named_queues()
returns setof text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_named_queues$
begin
  return query
  select w.queue from quantumflow.workflow_steps w
  union
  select q.queue from quantumflow.queues q
  union
  select 'quantum_flow_queue'
  order by 1;
end
$_named_queues$;

comment on function quantumflow._named_queues() is
'The queues that definitions or settings name, and the default one, whether they exist or not.';

create function quantumflow._known_queues()
returns setof text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_known_queues$
begin
  return query
  select n.queue
  from quantumflow._named_queues() n (queue)
  where quantumflow._hold_queue(n.queue) is not null
  order by n.queue;
end
$_known_queues$;

comment on function quantumflow._known_queues() is
'The queues that definitions or settings name and that exist, as far as they can be trusted. They are held then.';
