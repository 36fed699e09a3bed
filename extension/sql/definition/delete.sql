create function quantumflow.delete_flow(workflow_slug text)
returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $delete_flow$
begin
  perform quantumflow._refuse_nulls(jsonb_build_object('workflow_slug', delete_flow.workflow_slug));

  -- Under the other levels the count below would not see a run that was started while this waited.
  perform quantumflow._require_read_committed('delete a workflow');

  -- Twice: a refusal is not to leave a mark that starts would look at, nor to wait.
  perform quantumflow._refuse_runs_of(delete_flow.workflow_slug);

  -- A start that comes from here on waits for this; those that came before are waited for.
  perform
  from quantumflow.workflows w
  where w.workflow_slug = delete_flow.workflow_slug
  for update;
  perform
  from quantumflow.workflow_versions v
  where v.workflow_slug = delete_flow.workflow_slug
  for update;
  perform quantumflow._await_starts();

  perform quantumflow._refuse_runs_of(delete_flow.workflow_slug);

  delete from quantumflow.workflow_step_edges e
  where e.workflow_slug = delete_flow.workflow_slug;

  delete from quantumflow.workflow_steps s
  where s.workflow_slug = delete_flow.workflow_slug;

  delete from quantumflow.pauses p
  where (p.kind, p.name) = ('workflow', delete_flow.workflow_slug);

  delete from quantumflow._first_runs f
  where f.workflow_slug = delete_flow.workflow_slug;

  perform quantumflow._forget_policies(delete_flow.workflow_slug);

  delete from quantumflow.workflow_versions v
  where v.workflow_slug = delete_flow.workflow_slug;

  delete from quantumflow.workflows w
  where w.workflow_slug = delete_flow.workflow_slug;

  if not found then
    return false;
  end if;

  perform quantumflow._record_act('delete_flow', quantumflow._now(), delete_flow.workflow_slug);

  return true;
end
$delete_flow$;

comment on function quantumflow.delete_flow(text) is
'Deletes a workflow with all its versions; true when there was one. Its queues stay.

It refuses if there are runs, ended ones included, or schedules. Else it waits for transactions that change the workflow, and for those that change runs,
since one of these may be starting one: for 5 s, or lock_timeout. Then it looks once more.
Errors: QF101 when the argument is null; QF113 while runs or schedules exist; 55P03 when somebody''s open transaction may start one; 0A000 unless
the transaction is read committed.';

create function quantumflow._refuse_runs_of(p_workflow_slug text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_refuse_runs_of$
declare
  v_schedules text[];
  v_runs      bigint := (select count(*) from quantumflow.workflow_runs r where r.workflow_slug = p_workflow_slug);
begin
  if v_runs > 0 then
    raise exception 'workflow "%" has runs', p_workflow_slug
    using
      errcode = 'QF113',
      detail = format('%s of its runs are in workflow_runs.', v_runs),
      hint = 'Its runs, ended ones too, need their definition: see quantumflow.delete_run() and quantumflow.prune().';
  end if;

  select array_agg(s.schedule_slug order by s.schedule_slug)
  into v_schedules
  from quantumflow.schedules s
  where s.workflow_slug = p_workflow_slug;

  if v_schedules is not null then
    raise exception 'workflow "%" has schedules', p_workflow_slug
    using
      errcode = 'QF113',
      detail = format('It is started by %s.', array_to_string(v_schedules, ', ')),
      hint = format('Remove them first: select quantumflow.unschedule_flow(%L).', v_schedules[1]);
  end if;
end
$_refuse_runs_of$;

comment on function quantumflow._refuse_runs_of(text) is
'Refuses to go on while a workflow has runs, ended ones included, or schedules.

Errors: QF113 while there are some.';

create function quantumflow._await_starts()
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_await_starts$
declare
  v_until   timestamptz := clock_timestamp() + coalesce(nullif(current_setting('lock_timeout')::interval, '0'), '5 s');
  v_writers text[];
begin
  -- To lock the table instead would keep everybody else's reports waiting behind this.
  select array_agg(l.virtualtransaction)
  into v_writers
  from quantumflow._run_writers() l (virtualtransaction);

  while exists (select from quantumflow._run_writers() l (virtualtransaction) where l.virtualtransaction = any (v_writers)) loop
    if clock_timestamp() > v_until then
      raise exception 'somebody''s open transaction may be starting a run'
      using
        errcode = 'lock_not_available',
        detail = 'Which of the transactions that change runs start one, nobody else can see before they end.',
        hint = 'Try again; pg_stat_activity shows transactions that are open for long.';
    end if;

    perform pg_sleep(0.01);
  end loop;
end
$_await_starts$;

comment on function quantumflow._await_starts() is
'Waits until the transactions that have written to workflow_runs are over.

Errors: 55P03 when one is not after 5 s, or lock_timeout.';

create function quantumflow._run_writers()
returns setof text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_run_writers$
begin
  return query
  select l.virtualtransaction
  from pg_locks l
  where l.locktype = 'relation'
    and l.database = (select d.oid from pg_database d where d.datname = current_database())
    and l.relation = 'quantumflow.workflow_runs'::regclass
    and l.mode = 'RowExclusiveLock'
    and l.pid is distinct from pg_backend_pid();
end
$_run_writers$;

comment on function quantumflow._run_writers() is
'The transactions of others, prepared ones too, that have written to workflow_runs, or are about to.';
