-- Runs that go on one at a time, by their keys. Whose turn it is has the row of its key that holds; the others are paused, and wait. Nothing
-- has to be given back: a turn is free when its run is not open any more. Who ends a run deletes its row and tells those who settle, which let
-- the next one go on.

create function quantumflow._refuse_busy(p_workflow_slug text, p_key text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_busy$
declare
  v_run_id uuid := (
    select t.run_id
    from quantumflow._run_turns t
    where (t.workflow_slug, t.turn_key) = (p_workflow_slug, p_key)
    order by t.holds desc, t.queued_at
    limit 1);
begin
  raise exception 'another run of workflow "%" goes on', p_workflow_slug
  using
    errcode = 'QF225',
    detail = format(
      'Its runs go on one at a time%s, and run %s has not ended.', coalesce(' for the key ' || nullif(p_key, ''), ''),
      coalesce(v_run_id::text, 'of this call')),
    hint = 'Wait until it has ended, or cancel it.';
end
$_refuse_busy$;

comment on function quantumflow._refuse_busy(text, text) is
'Refuses a run beside which another of its key goes on.

Errors: QF225 always.';

create function quantumflow._end_turns(p_run_ids uuid[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_end_turns$
declare
  v_queue text := quantumflow._system_queue();
begin
  delete from quantumflow._run_turns t
  where t.run_id = any (p_run_ids);

  if found and quantumflow._hold_queue(v_queue) is not null then
    perform quantumflow._notify(v_queue, array['turn'], p_now);
  end if;
end
$_end_turns$;

comment on function quantumflow._end_turns(uuid[], timestamptz) is
'Runs that have ended leave their turns, and who settles is told that others may go on.';

create function quantumflow._take_turn_again(p_run quantumflow.workflow_runs, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_take_turn_again$
begin
  insert into quantumflow._run_turns (run_id, workflow_slug, turn_key, holds, queued_at)
  values (p_run.id, p_run.workflow_slug, p_run.turn_key, true, p_now)
  on conflict do nothing;

  if not found then
    perform quantumflow._refuse_busy(p_run.workflow_slug, p_run.turn_key);
  end if;
end
$_take_turn_again$;

comment on function quantumflow._take_turn_again(quantumflow.workflow_runs, timestamptz) is
'A run that has ended, and is to go on again, takes its turn. The caller holds it.

Errors: QF225 another run of its key goes on.';

create function quantumflow._refuse_waiting(p_run quantumflow.workflow_runs)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_waiting$
begin
  if exists (
    select
    from quantumflow._run_turns t
    where t.run_id = p_run.id
      and not t.holds
  )
  then
    perform quantumflow._refuse_busy(p_run.workflow_slug, p_run.turn_key);
  end if;
end
$_refuse_waiting$;

comment on function quantumflow._refuse_waiting(quantumflow.workflow_runs) is
'Refuses to let a run go on that waits for its turn.

Errors: QF225 another run of its key goes on.';
