-- What pgmq's schema holds is not ours, and whoever owns a table or function there runs code as whoever uses it. So nothing is used
-- but what belongs to somebody who could do as much anyway.

create function quantumflow._is_trusted(p_role oid)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_is_trusted$
begin
  return exists (
    select
    from pg_roles r
    where r.oid = p_role
      and (
        r.rolsuper
        or r.rolname = current_user
        or r.rolname = (select s.value from quantumflow.settings s where s.name = 'pgmq_owner')
      )
  );
end
$_is_trusted$;

comment on function quantumflow._is_trusted(oid) is
'Whether what a role owns may be used: it is a superuser, the owner of quantumflow, or whom that owner has named as owner of pgmq.';

create function quantumflow._flaw_of(p_relation oid)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_flaw_of$
declare
  v_kind  "char";
  v_owner oid;
  v_flaw  text;
begin
  select c.relkind, c.relowner
  into v_kind, v_owner
  from pg_class c
  where c.oid = p_relation;

  if not found then
    return null;
  end if;

  if v_kind not in ('r', 'p') then
    return format('%s is no table', p_relation::regclass);
  end if;

  if not quantumflow._is_trusted(v_owner) then
    return format('%s belongs to role "%s"', p_relation::regclass, pg_get_userbyid(v_owner));
  end if;

  select format('%s has a rule, "%s"', p_relation::regclass, r.rulename)
  into v_flaw
  from pg_rewrite r
  where r.ev_class = p_relation
  order by r.rulename
  limit 1;

  if found then
    return v_flaw;
  end if;

  -- PostgreSQL records the owner of a trigger's function, but not of the trigger. Its condition calls what its maker likes, and its
  -- arguments may tell the function what to do.
  select case
    when quantumflow._is_trusted(f.proowner) then format('a trigger on %s, "%s", has a condition or arguments', p_relation::regclass, t.tgname)
    else format('a trigger on %s, "%s", calls a function of role "%s"', p_relation::regclass, t.tgname, pg_get_userbyid(f.proowner))
  end
  into v_flaw
  from pg_trigger t
  cross join lateral (
    select o.proowner
    from pg_proc o
    where o.oid = t.tgfoid
    offset 0
  ) f
  where t.tgrelid = p_relation
    and (t.tgqual is not null or t.tgnargs > 0 or not quantumflow._is_trusted(f.proowner))
  order by t.tgname
  limit 1;

  if found then
    return v_flaw;
  end if;

  -- Partitions are tables too.
  select k.flaw
  into v_flaw
  from pg_inherits i
  cross join lateral quantumflow._flaw_of(i.inhrelid) k (flaw)
  where i.inhparent = p_relation
    and k.flaw is not null
  order by k.flaw
  limit 1;

  return v_flaw;
end
$_flaw_of$;

comment on function quantumflow._flaw_of(oid) is
'Why a relation in pgmq''s schema must not be touched; null when it may be, or is not there.

It is no table, it is somebody else''s, or it has what would run with our rights: rules, somebody else''s triggers, or triggers with
conditions or arguments, which may be somebody else''s.';

create function quantumflow._missing_columns(p_relation oid)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_missing_columns$
begin
  return (
    select string_agg(format('%s %s', k.name, k.type), ', ' order by k.n)
    from unnest(
      array['msg_id', 'read_ct', 'enqueued_at', 'vt', 'message', 'headers'],
      array['bigint', 'integer', 'timestamp with time zone', 'timestamp with time zone', 'jsonb', 'jsonb']
    ) with ordinality k (name, type, n)
    where not exists (
      select
      from pg_attribute a
      where a.attrelid = p_relation
        and a.attname = k.name
        and a.atttypid = to_regtype(k.type)
    )
  );
end
$_missing_columns$;

comment on function quantumflow._missing_columns(oid) is
'The columns of a pgmq queue that a table does not have; null when none is missing. Dumps of old pgmqs bring such tables.';

create function quantumflow._queue_table(p_queue text, p_prefix text default 'q_')
returns regclass
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_queue_table$
begin
  return (
    select c.oid
    from pg_class c
    where c.relnamespace = to_regnamespace('pgmq')
      and c.relname = (p_prefix || p_queue)::name
      and length(p_queue) <= 47
      and case
        -- The usual table, as pgmq makes it for us. Any other takes a closer look.
        when c.relkind = 'r'
          and pg_get_userbyid(c.relowner) = current_user
          and not (c.relhasrules or c.relhastriggers or c.relhassubclass)
        then true
        else quantumflow._flaw_of(c.oid) is null
      end
  );
end
$_queue_table$;

comment on function quantumflow._queue_table(text, text) is
'The table of a pgmq queue, or with a_ of its archive; null when there is none, or one that must not be touched.';

create function quantumflow._hold_queue(p_queue text, p_prefix text default 'q_')
returns regclass
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_queue$
declare
  v_table regclass := quantumflow._queue_table(p_queue, p_prefix);
begin
  if v_table is null then
    return null;
  end if;

  begin
    if p_queue = 'quantum_flow_queue' and p_prefix = 'q_' then
      lock table pgmq.q_quantum_flow_queue in row exclusive mode;
    elsif p_queue = 'quantum_flow_system' and p_prefix = 'q_' then
      lock table pgmq.q_quantum_flow_system in row exclusive mode;
    else
      execute format('lock table pgmq.%I in row exclusive mode', p_prefix || p_queue);
    end if;
  exception
    -- Somebody dropped it while this waited for the lock.
    when undefined_table then
      return null;
  end;

  -- Or somebody put another table in its place.
  return case when to_regclass(format('pgmq.%I', p_prefix || p_queue)) = v_table then v_table end;
end
$_hold_queue$;

comment on function quantumflow._hold_queue(text, text) is
'As _queue_table, and nobody replaces or changes the table until the transaction ends.

To be called before the first statement of a transaction on a queue. One that was dropped may have been made again by somebody else,
and the time between look and use is as long as somebody likes who holds a row that is waited for.';

create function quantumflow._is_own_or_set(p_queue text)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_is_own_or_set$
begin
  return exists (select from quantumflow._own_queues o where o.queue = p_queue)
    or exists (select from quantumflow.queues q where q.queue = p_queue);
end
$_is_own_or_set$;

comment on function quantumflow._is_own_or_set(text) is
'Whether a queue is one that quantumflow has made, or one that its owner has put into quantumflow.queues.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._is_named(p_queue text)
returns boolean
language sql
stable
return p_queue = 'quantum_flow_queue' or quantumflow._is_own_or_set(p_queue);

comment on function quantumflow._is_named(text) is
'Whether a queue is quantumflow''s by name: the default one, one that it has made, or one of which its owner says so.';

create function quantumflow._raise_unusable_queue(p_queue text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_raise_unusable_queue$
declare
  v_table regclass := to_regclass(format('pgmq.%I', concat('q_', p_queue)));
  v_flaw  text;
begin
  if v_table is null then
    raise exception 'queue "%" does not exist', p_queue
    using
      errcode = 'QF401',
      detail = format('There is no table pgmq.%I.', concat('q_', p_queue)),
      hint = 'Queues are made by defining a workflow that names them, or by quantumflow.setup().';
  end if;

  v_flaw := coalesce(quantumflow._flaw_of(v_table), quantumflow._flaw_of(to_regclass(format('pgmq.%I', concat('a_', p_queue)))));

  if v_flaw is not null then
    raise exception 'queue "%" cannot be trusted', p_queue
    using
      errcode = 'QF403',
      detail = format('In pgmq''s schema %s: what it calls would run with the rights of quantumflow''s owner.', v_flaw),
      hint = format(
        'If it is to be quantumflow''s, have that undone: drop the trigger or rule, or give the table to role "%s". Else name another queue, '
        'or have this one dropped, and run quantumflow.setup().', current_user);
  end if;

  raise exception 'queue "%" is not one of quantumflow''s', p_queue
  using
    errcode = 'QF403',
    detail = 'Somebody else has made it: another application may wait for its messages.',
    hint = format(
      'Name another queue. If it is meant, whoever owns quantumflow says so: insert into quantumflow.queues (queue) values (%L);', p_queue);
end
$_raise_unusable_queue$;

comment on function quantumflow._raise_unusable_queue(text) is
'Raises the reason why a queue cannot be used.

Errors: QF401 it does not exist; QF403 it is somebody else''s, or not one of quantumflow''s.';

create function quantumflow._revoke_grants(p_kind text, p_object text, p_owner oid, p_acl aclitem[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_revoke_grants$
declare
  v_grantee oid;
begin
  for v_grantee in
    select distinct a.grantee
    from aclexplode(p_acl) a
    where a.grantee <> p_owner
  loop
    execute format(
      'revoke all on %s %s from %s cascade', p_kind, p_object,
      case v_grantee when 0 then 'public' else quote_ident(pg_get_userbyid(v_grantee)) end);
  end loop;
end
$_revoke_grants$;

comment on function quantumflow._revoke_grants(text, text, oid, aclitem[]) is
'Takes every right on an object from everybody but its owner: default privileges may have granted some as it was made.

p_kind: function, table, sequence or schema. p_object: its name, quoted where it must be.';
