create function quantumflow._work_off_tree(p_most int, p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_work_off_tree$
declare
  v_notes bigint[];
  v_noted uuid[];
  v_held  uuid[];
  v_live  uuid[];
  v_ended uuid[];
begin
  select array_agg(n.id), array_agg(distinct n.run_id)
  into v_notes, v_noted
  from (
    select w.id, w.run_id
    from quantumflow._tree_work w
    order by w.id
    limit p_most
    for update skip locked
  ) n;

  if v_notes is null then
    return 0;
  end if;

  select
    coalesce(array_agg(k.id), '{}'),
    coalesce(array_agg(k.id) filter (where k.status in ('started', 'paused')), '{}'),
    coalesce(array_agg(k.id) filter (where k.status not in ('started', 'paused')), '{}')
  into v_held, v_live, v_ended
  from (
    select r.id, r.status
    from quantumflow.workflow_runs r
    where r.id = any (v_noted)
    order by r.id
    for update skip locked
  ) k;

  -- Before what follows notes others, or these again.
  delete from quantumflow._tree_work w
  where w.id = any (v_notes)
    and (w.run_id = any (v_held) or not exists (select from quantumflow.workflow_runs r where r.id = w.run_id));

  -- To the end, so that what somebody holds for long keeps nobody from its turn.
  update quantumflow._tree_work w
  set id = default
  where w.id = any (v_notes);

  perform quantumflow._end_unwanted(v_live, p_now);

  if v_ended <> '{}' then
    perform quantumflow._wake_parents(quantumflow._wanted_children(v_ended), p_now);
  end if;

  return cardinality(v_held);
end
$_work_off_tree$;

comment on function quantumflow._work_off_tree(int, timestamptz) is
'Looks at the children that are noted in _tree_work, at most p_most notes, waiting for nothing: those that are not wanted any more are cancelled,
and of those that have ended the parents are told. Returns at how many.';
