create type quantumflow.finding as (
  subject text,
  state   text,
  fact    text,
  advice  text
);

comment on type quantumflow.finding is
'One thing that doctor() looked at: state is ok, warning or error; advice says what to do about the latter two.';
comment on column quantumflow.finding.subject is 'What was looked at.';
comment on column quantumflow.finding.state is 'ok, warning or error.';
comment on column quantumflow.finding.fact is 'What was found.';
comment on column quantumflow.finding.advice is 'What to do about it; null when all is well.';

create function quantumflow.doctor()
returns setof quantumflow.finding
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $doctor$
begin
  if not has_schema_privilege(to_regnamespace('pgmq'), 'usage') then
    return query
    select
      'pgmq',
      'error',
      format('quantumflow''s owner, role "%s", may not use schema pgmq: no run can be started, no task claimed', current_user),
      format('As its owner or a superuser: grant usage on schema pgmq to %I;', current_user);

    return;
  end if;

  return query
  select * from quantumflow._examine_server()
  union all
  select * from quantumflow._examine_install()
  union all
  select * from quantumflow._examine_rights()
  union all
  select * from quantumflow._examine_grants()
  union all
  select * from quantumflow._examine_queues(quantumflow._now())
  union all
  select * from quantumflow._examine_work(quantumflow._now());
end
$doctor$;

comment on function quantumflow.doctor() is
'Looks at the server, the installation, the caller''s rights, the queues and the workers, and says what to do about what is not well.

Rights are those of session_user. For the rules that must hold of runs and tasks see check_state().

Errors: none.';

create function quantumflow._examine_server()
returns setof quantumflow.finding
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_examine_server$
begin
  return query
  select
    'server',
    case when current_setting('server_version_num')::int >= 140000 then 'ok' else 'error' end,
    'PostgreSQL ' || current_setting('server_version'),
    case when current_setting('server_version_num')::int < 140000 then 'quantumflow needs PostgreSQL 14 or newer.' end
  union all
  select
    'fsync',
    case current_setting('fsync') when 'on' then 'ok' else 'error' end,
    'fsync is ' || current_setting('fsync'),
    case current_setting('fsync') when 'off' then 'A crash can lose or corrupt data. Turn fsync on, except for tests.' end
  union all
  select
    'autovacuum',
    case current_setting('autovacuum') when 'on' then 'ok' else 'warning' end,
    'autovacuum is ' || current_setting('autovacuum'),
    case current_setting('autovacuum') when 'off' then 'Queues grow without it. Turn autovacuum on.' end
  union all
  select
    'notifications',
    case when pg_notification_queue_usage() > 0.5 then 'warning' else 'ok' end,
    format(
      'workers are %s of new work; the server''s queue for that is %s %% full',
      case quantumflow._limit('notify') when 1 then 'told' else 'not told' end,
      round(100 * pg_notification_queue_usage())),
    case
      when pg_notification_queue_usage() > 0.5
      then 'Work that begins wakes nobody until it is less full: workers find it when they next look. End the session that listens and has been in a transaction for long: '
        'see pg_stat_activity. Or tell nobody: select quantumflow.configure(''notify'', ''0'').'
    end
  union all
  select
    'clock',
    'warning',
    'the test clock is allowed',
    'Any session can move the clock, so leases can be ended early. Except for tests: '
      'delete from quantumflow.settings where name = ''test_clock''.'
  from quantumflow.settings s
  where s.name = 'test_clock'
    and s.value = 'on';
end
$_examine_server$;

comment on function quantumflow._examine_server() is 'doctor(): the server and its settings.';

create function quantumflow._examine_install()
returns setof quantumflow.finding
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_examine_install$
declare
  v_pgmq    text := (select e.extversion from pg_extension e where e.extname = 'pgmq');
  v_ours    text := (select e.extversion from pg_extension e where e.extname = 'quantumflow');
  v_fits    boolean := to_regprocedure('pgmq.send_batch(text, jsonb[], jsonb[], timestamptz)') is not null;
  v_foreign text := (
    select string_agg(distinct format('role "%s"', pg_get_userbyid(k.owner)), ', ')
    from quantumflow._parts_of_pgmq() k
    where not quantumflow._is_trusted(k.owner));
  v_flaw    text := (select min(k.flaw) from quantumflow._parts_of_pgmq() k);
begin
  return query
  select
    'pgmq',
    case when v_fits and v_foreign is null and v_flaw is null then 'ok' else 'error' end,
    case
      when v_foreign is not null then format('pgmq belongs to %s, whose code would run with our owner''s rights', v_foreign)
      when v_flaw is not null then 'pgmq cannot be trusted: ' || v_flaw
      when v_pgmq is not null then format('pgmq %s, as an extension', v_pgmq)
      when to_regnamespace('pgmq') is not null then 'pgmq, installed as plain SQL'
      else 'pgmq is not installed'
    end,
    case
      when v_foreign is not null
      then format('Have it installed by a superuser or by role "%s"; setup() says more.', current_user)
      when v_flaw is not null then 'Have it dropped: no queue is made as long as it is there.'
      when not v_fits then 'Install pgmq 1.5.1 or newer: create extension pgmq.'
    end
  union all
  select
    'quantumflow',
    case when v_ours <> quantumflow.version() then 'error' else 'ok' end,
    case
      when v_ours is null then format('quantumflow %s, installed as plain SQL', quantumflow.version())
      else format('quantumflow %s, as an extension', quantumflow.version())
    end,
    case
      when v_ours <> quantumflow.version()
      then format('The catalog says version %s. Run: alter extension quantumflow update.', v_ours)
    end
  union all
  select
    'identity',
    case when i.is_copy then 'error' else 'ok' end,
    case when i.is_copy then 'the database is a copy: its runs were started in another' else 'runs were started in this database' end,
    case when i.is_copy then 'Workers refuse it. If the original is not used any more: select quantumflow.adopt().' end
  from (
    select s.value <> quantumflow._identity() as is_copy
    from quantumflow.settings s
    where s.name = 'identity'
  ) i;
end
$_examine_install$;

comment on function quantumflow._examine_install() is 'doctor(): which versions are installed, and how, and whether the database is a copy.';

create function quantumflow._examine_rights()
returns setof quantumflow.finding
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_examine_rights$
begin
  return query
  select
    'rights',
    case when l.complete is null then 'warning' else 'ok' end,
    case
      when l.missing is null then format('%s may call every public function', session_user)
      when l.complete is not null then format('%s has access as %s', session_user, l.complete)
      else format('%s may not call %s', session_user, l.missing)
    end,
    case
      when l.complete is null
      then format(
        'Whoever installed quantumflow can change that: select quantumflow.grant_access(%L, ''viewer''), or worker, operator, author.',
        session_user)
    end
  from (
    select
      string_agg(a.level, ', ' order by a.level) filter (where a.missing is null and a.level <> 'all') as complete,
      max(a.missing) filter (where a.level = 'all') as missing
    from (
      select
        g.level,
        string_agg(g.proname, ', ' order by g.proname) filter (where not g.is_granted) as missing
      from (
        select
          v.level,
          f.proname::text,
          has_schema_privilege(session_user, 'quantumflow', 'usage')
            and has_function_privilege(session_user, f.oid, 'execute') as is_granted
        from pg_proc f
        join quantumflow._levels() l
          on l.function_name = f.proname
        cross join unnest(l.levels || 'all'::text) v (level)
        where f.pronamespace = 'quantumflow'::regnamespace
      ) g
      group by g.level
    ) a
  ) l;
end
$_examine_rights$;

comment on function quantumflow._examine_rights() is 'doctor(): what the caller may call.';

create function quantumflow._examine_grants()
returns setof quantumflow.finding
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_examine_grants$
begin
  return query
  select
    'grants',
    case when count(*) = 0 then 'ok' else 'warning' end,
    case
      when count(*) = 0 then 'nobody has a right that no access gives'
      else format('rights that no access gives: %s', string_agg(k.g, ', ' order by k.g) filter (where k.n <= 20))
        || case when count(*) > 20 then format(', and %s more', count(*) - 20) else '' end
    end,
    case
      when count(*) > 0
      then 'Default privileges may have granted them. Take them back: select quantumflow.revoke_access(role), for queues with REVOKE; then '
        'grant_access() what the role is to have.'
    end
  from (
    select s.g, row_number() over (order by s.g) as n
    from quantumflow._stray_grants() s (g)
  ) k;
end
$_examine_grants$;

comment on function quantumflow._examine_grants() is 'doctor(): who has rights beyond those that grant_access() gives.';

create function quantumflow._stray_grants()
returns setof text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_stray_grants$
begin
  return query
  with held as (
    select o.kind, o.name, o.object, a.grantee, a.privilege_type
    from (
      select 'schema', n.nspname::text, 'schema ' || n.nspname, n.nspowner, n.nspacl
      from pg_namespace n
      where n.nspname = 'quantumflow'
      union all
      select 'function', f.proname::text, f.oid::regprocedure::text, f.proowner, coalesce(f.proacl, acldefault('f', f.proowner))
      from pg_proc f
      where f.pronamespace = 'quantumflow'::regnamespace
      union all
      select case c.relkind when 'S' then 'sequence' else 'table' end, c.relname::text, c.oid::regclass::text, c.relowner, c.relacl
      from pg_class c
      where c.relnamespace = 'quantumflow'::regnamespace
      union all
      select 'column', a.attname::text, format('%s (%I)', c.oid::regclass, a.attname), c.relowner, a.attacl
      from pg_class c
      join pg_attribute a
        on a.attrelid = c.oid
      where c.relnamespace = 'quantumflow'::regnamespace
      union all
      select 'queue', c.relname::text, c.oid::regclass::text, c.relowner, c.relacl
      from quantumflow._known_queues() q (queue)
      cross join unnest(array['q_', 'a_']) k (prefix)
      join pg_class c
        on c.oid = to_regclass(format('pgmq.%I', k.prefix || q.queue))
    ) o (kind, name, object, owner, acl)
    cross join aclexplode(o.acl) a
    where a.grantee <> o.owner
  ),
  -- What each access gives, and no other that does not give all of it.
  access as (
    select distinct h.grantee, s.level
    from (
      values ('viewer', 'check_state'), ('worker', 'claim_tasks'), ('operator', 'cancel_run'), ('author', 'define_flow'),
        ('caller', 'start_flow')
    ) s (level, function_name)
    join held h
      on h.kind = 'function'
      and h.name = s.function_name
    where h.grantee <> 0
  )
  select format('%s on %s to %s', h.privilege_type, h.object, case h.grantee when 0 then 'PUBLIC' else pg_get_userbyid(h.grantee) end)
  from held h
  where case h.kind
    when 'schema' then h.privilege_type <> 'USAGE' or h.grantee = 0
    when 'table' then h.privilege_type <> 'SELECT' or not exists (
      select from access x where x.grantee = h.grantee and x.level = 'viewer')
    -- pgmq's own default privileges give that.
    when 'queue' then h.privilege_type <> 'SELECT' or h.grantee is distinct from to_regrole('pg_monitor')::oid
    when 'function' then not exists (
      select
      from quantumflow._levels() l
      join access x
        on x.level = any (l.levels)
      where l.function_name = h.name
        and x.grantee = h.grantee)
    else true
  end;
end
$_stray_grants$;

comment on function quantumflow._stray_grants() is
'The rights on what is quantumflow''s, and on its queues, that others have and that no access gives.';

create function quantumflow._examine_queues(p_now timestamptz)
returns setof quantumflow.finding
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_examine_queues$
declare
  v_queue   text;
  v_visible bigint;
  v_hidden  bigint;
  v_oldest  timestamptz;
begin
  for v_queue in
    select *
    from quantumflow._named_queues()
  loop
    if quantumflow._hold_queue(v_queue) is null
      or quantumflow._flaw_of(to_regclass(format('pgmq.%I', 'q_' || v_queue))) is not null
      or quantumflow._flaw_of(to_regclass(format('pgmq.%I', 'a_' || v_queue))) is not null
    then
      return query
      select
        'queue ' || v_queue, 'error',
        case
          when quantumflow._is_there(v_queue) then 'the queue cannot be trusted: ' || coalesce(
            quantumflow._flaw_of(to_regclass(format('pgmq.%I', 'q_' || v_queue))),
            quantumflow._flaw_of(to_regclass(format('pgmq.%I', 'a_' || v_queue))))
          else 'the queue does not exist'
        end,
        case
          when quantumflow._is_there(v_queue)
          then format(
            'Nobody touches it. If it is to be quantumflow''s, have that undone: drop the trigger or rule, or give the table to role "%s"; else '
            'have it dropped. Then run: select quantumflow.setup(), and select * from quantumflow.repair(false).', current_user)
          else 'Run: select quantumflow.setup(); and, if it has had tasks: select * from quantumflow.repair(false).'
        end;
      continue;
    end if;

    if quantumflow._missing_columns(quantumflow._queue_table(v_queue)) is not null then
      return query
      select
        'queue ' || v_queue, 'error',
        'its table is not that of pgmq: it has no ' || quantumflow._missing_columns(quantumflow._queue_table(v_queue)),
        'A dump of an old pgmq was restored. Stop the workers and run: select * from quantumflow.rebuild_queues().';
      continue;
    end if;

    execute format(
      'select count(*) filter (where q.vt <= $1), count(*) filter (where q.vt > $1), '
      'min(q.vt) filter (where q.vt <= $1) from pgmq.%I q',
      'q_' || v_queue)
    using p_now
    into v_visible, v_hidden, v_oldest;

    return query
    select
      'queue ' || v_queue,
      case when v_oldest < p_now - interval '5 min' then 'warning' else 'ok' end,
      format('%s messages visible, %s hidden', v_visible, v_hidden)
        || coalesce(', the oldest visible for ' || date_trunc('second', p_now - v_oldest), ''),
      case when v_oldest < p_now - interval '5 min' then 'Nobody takes its tasks: start a worker that serves this queue.' end;
  end loop;
end
$_examine_queues$;

comment on function quantumflow._examine_queues(timestamptz) is 'doctor(): the queues, and how long tasks wait in them.';

create function quantumflow._examine_work(p_now timestamptz)
returns setof quantumflow.finding
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_examine_work$
begin
  return query
  select
    'workers',
    case when w.live = 0 and t.waiting then 'warning' else 'ok' end,
    format('%s seen in the last minute', w.live),
    case when w.live = 0 and t.waiting then 'Tasks wait but no registered worker is alive: quantumflow worker MODULE:OBJECT.' end
  from (
    select count(*) as live
    from quantumflow.workers k
    where k.stopped_at is null
      and k.last_seen_at > p_now - interval '1 min'
  ) w
  cross join (
    select exists (select from quantumflow.workflow_runs r where r.status = 'started') as waiting
  ) t
  union all
  select
    'ends',
    case when count(*) = 0 then 'ok' else 'warning' end,
    format('%s ends of runs unfinished for a minute', count(*)),
    case when count(*) > 0 then 'Run: select * from quantumflow.sweep(). Some transaction may hold their tasks for long.' end
  from quantumflow._unfinished_ends e
  where e.recorded_at < p_now - interval '1 min';
end
$_examine_work$;

comment on function quantumflow._examine_work(timestamptz) is 'doctor(): the workers, and ends of runs that nobody finished.';
