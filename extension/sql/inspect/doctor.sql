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

create type quantumflow._live_lease as (
  queue     text,
  command   text,
  worker_id uuid
);

comment on type quantumflow._live_lease is 'A worker that has tasks of a command from a queue, whose leases go on.';

create function quantumflow.doctor()
returns setof quantumflow.finding
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $doctor$
declare
  v_now    timestamptz := quantumflow._now();
  v_leases quantumflow._live_lease[];
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

  v_leases := quantumflow._live_leases(v_now);

  return query
  select * from quantumflow._examine_server()
  union all
  select * from quantumflow._examine_install()
  union all
  select * from quantumflow._examine_rights()
  union all
  select * from quantumflow._examine_grants()
  union all
  select * from quantumflow._examine_queues(v_now)
  union all
  select * from quantumflow._examine_commands(v_leases, v_now)
  union all
  select * from quantumflow._examine_pauses(v_now)
  union all
  select * from quantumflow._examine_left(v_now)
  union all
  select * from quantumflow._examine_settling(v_now)
  union all
  select * from quantumflow._examine_work(v_leases, v_now)
  union all
  select * from quantumflow._examine_schedules(v_now)
  union all
  select * from quantumflow._examine_limits(v_now);
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
