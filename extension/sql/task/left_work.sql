create function quantumflow.left_work(queues text[], commands text[] default null, refused jsonb default '[]')
returns timestamptz
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $left_work$
declare
  v_now     timestamptz := quantumflow._now();
  v_refused jsonb := quantumflow._checked_array(left_work.refused, 'refused');
  v_queue   text;
  v_back_at timestamptz;
begin
  foreach v_queue in array coalesce(left_work.queues, '{}') loop
    continue when quantumflow._is_named(v_queue) is not true or quantumflow._hold_queue(v_queue) is null;

    v_back_at := least(v_back_at, (
      select min(m.vt)
      from quantumflow._left_messages(v_queue, left_work.commands, v_now) m
      cross join lateral (
        select l.workflow_slug, l.version
        from quantumflow.workflow_runs l
        where l.id = m.run_id
        limit 1
      ) r
      where not exists (
        select
        from jsonb_array_elements(v_refused) f
        where f ->> 'workflow_slug' = r.workflow_slug
          and f ->> 'version' = r.version::text
          and f ->> 'step_slug' = m.step_slug
      )));
  end loop;

  return v_back_at;
end
$left_work$;

comment on function quantumflow.left_work(text[], text[], jsonb) is
'When the first task comes back that others have left to other code (see release_tasks), and that the caller may be able to do; null if there
is none. A worker that ends when there is nothing to do asks this when it has claimed in vain: such tasks are hidden for a moment, up to a
minute.

queues, commands: as for claim_tasks. refused: what the caller itself has handed back so, an array of {"workflow_slug", "version", "step_slug"}:
these steps it cannot do. It looks at the 1,000 hidden messages of each command that come back soonest; a queue that is gone has none.

Errors: QF301 refused is no array.';
