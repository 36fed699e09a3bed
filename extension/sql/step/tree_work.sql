-- What is to be done about children whose parents have changed, or that have changed without them: each is brought in line with its parent.

create function quantumflow._busy_after_a_look(p_children uuid[], p_now timestamptz)
returns uuid[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_busy_after_a_look$
declare
  v_held  uuid[];
  v_live  uuid[];
  v_ended uuid[];
begin
  select
    coalesce(array_agg(k.id), '{}'),
    coalesce(array_agg(k.id) filter (where k.status in ('started', 'paused')), '{}'),
    coalesce(array_agg(k.id) filter (where k.status not in ('started', 'paused')), '{}')
  into v_held, v_live, v_ended
  from (
    select r.id, r.status
    from quantumflow.workflow_runs r
    where r.id = any (p_children)
    order by r.id
    for update skip locked
  ) k;

  -- What their parents say is read when they are held: whoever changes a parent after that looks at its children then.
  perform quantumflow._end_unwanted(v_live, p_now);

  if v_ended <> '{}' then
    perform quantumflow._wake_parents(quantumflow._wanted_children(v_ended), p_now);
  end if;

  return array(
    select r.id
    from quantumflow.workflow_runs r
    where r.id = any (p_children)
      and r.id <> all (v_held)
  ) || quantumflow._busy_with_parents(v_live, p_now);
end
$_busy_after_a_look$;

comment on function quantumflow._busy_after_a_look(uuid[], timestamptz) is
'Brings children in line with their parents, waiting for nothing: those that are not wanted any more are cancelled, of those that have ended the parents
are told, and the others are paused, or go on, with their parents. Returns those that somebody holds, or a message of, which are to be looked at again.';

create function quantumflow._busy_with_parents(p_children uuid[], p_now timestamptz)
returns uuid[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_busy_with_parents$
declare
  v_pause  uuid[];
  v_resume uuid[];
  v_id     uuid;
  v_run    quantumflow.workflow_runs;
  v_busy   uuid[] := '{}';
begin
  select
    array_agg(c.id) filter (where (c.status, p.status) = ('started', 'paused')),
    array_agg(c.id order by c.id) filter (where (c.status, p.status) = ('paused', 'started') and c.paused_with_parent)
  into v_pause, v_resume
  from unnest(p_children) u (run_id)
  cross join lateral (
    select l.id, l.status, l.parent_run_id, l.paused_with_parent
    from quantumflow.workflow_runs l
    where l.id = u.run_id
      and l.status in ('started', 'paused')
    limit 1
  ) c
  cross join lateral (
    select l.status
    from quantumflow.workflow_runs l
    where l.id = c.parent_run_id
    limit 1
  ) p;

  if v_pause is not null then
    perform quantumflow._pause_runs(v_pause, true, p_now);
    perform quantumflow._look_below(v_pause, p_now);
  end if;

  foreach v_id in array coalesce(v_resume, '{}') loop
    if quantumflow._hold_queued(v_id) then
      select *
      into v_run
      from quantumflow.workflow_runs r
      where r.id = v_id;

      perform quantumflow._resume(v_run, p_now);
      perform quantumflow._look_below(array[v_id], p_now);
    else
      v_busy := v_busy || v_id;
    end if;
  end loop;

  return v_busy;
end
$_busy_with_parents$;

comment on function quantumflow._busy_with_parents(uuid[], timestamptz) is
'Pauses those of these children, which the caller holds, whose parents are paused, and lets those go on that were paused with parents which go on; with
all below them. Returns those of which somebody holds a message.';

create function quantumflow._look_below(p_run_ids uuid[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_look_below$
declare
  v_children uuid[] := array(
    select r.id
    from quantumflow.workflow_runs r
    where r.parent_run_id = any (p_run_ids)
      and r.status in ('started', 'paused'));
begin
  if v_children <> '{}' then
    perform quantumflow._note_children(quantumflow._busy_after_a_look(v_children, p_now), p_now);
  end if;
end
$_look_below$;

comment on function quantumflow._look_below(uuid[], timestamptz) is
'Brings what goes on below runs in line with them, as far as nobody holds it, and notes the rest. The caller holds the runs.';

create function quantumflow._work_off_tree(p_most int, p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_work_off_tree$
declare
  v_notes bigint[];
  v_noted uuid[];
  v_busy  uuid[];
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

  v_busy := quantumflow._busy_after_a_look(v_noted, p_now);

  delete from quantumflow._tree_work w
  where w.id = any (v_notes)
    and w.run_id <> all (v_busy);

  -- To the end, so that what somebody holds for long keeps nobody from its turn.
  update quantumflow._tree_work w
  set id = default
  where w.id = any (v_notes);

  return cardinality(v_noted) - cardinality(v_busy);
end
$_work_off_tree$;

comment on function quantumflow._work_off_tree(int, timestamptz) is
'Looks at the children that are noted in _tree_work, at most p_most notes, waiting for nothing. Returns how many it need not look at again.';
