create function quantumflow._note_retry(p_run_id uuid, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_note_retry$
begin
  insert into quantumflow._uncounted_runs (run_id, retried_at)
  values (p_run_id, p_now)
  on conflict on constraint _uncounted_runs_pkey do nothing;
end
$_note_retry$;

comment on function quantumflow._note_retry(uuid, timestamptz) is
'Notes that a run that had ended goes on, in the transaction that lets it: what ends from now on is counted when it has ended again.';

create function quantumflow._note_odd_id(p_run_id uuid)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_note_odd_id$
begin
  if substr(p_run_id::text, 15, 1) <> '7' or p_run_id < quantumflow._first_uuid_v7(clock_timestamp() - interval '5 s') then
    insert into quantumflow._uncounted_runs (run_id, retried_at, since)
    values (p_run_id, '-infinity', '-infinity')
    on conflict on constraint _uncounted_runs_pkey do nothing;
  end if;
end
$_note_odd_id$;

comment on function quantumflow._note_odd_id(uuid) is
'Notes a run whose id somebody chose, unless it says that the run was started just now: those are counted in order of their ids.';
