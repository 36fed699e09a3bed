create function quantumflow._delete_unkept(p_most int)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_delete_unkept$
declare
  v_run_id  uuid;
  v_tree    uuid[];
  v_deleted int := 0;
begin
  -- Before anything of a tree: who counts and deletes another may be waiting for rows of these.
  if not quantumflow._hold_counting() then
    return 0;
  end if;

  for v_run_id in
    select u.run_id
    from quantumflow._unkept_runs u
    order by u.run_id
    limit p_most
    for update skip locked
  loop
    v_tree := quantumflow._trees_of(array[v_run_id]);
    continue when quantumflow._goes_on_below(v_run_id) is not null or not quantumflow._hold_free_runs(v_tree);

    perform quantumflow._delete_runs(v_tree);
    v_deleted := v_deleted + 1;
  end loop;

  return v_deleted;
end
$_delete_unkept$;

comment on function quantumflow._delete_unkept(int) is
'Deletes runs, at most p_most, whose iterations are not kept any more, with all below them, waiting for nothing; how many. What somebody holds, or
what still goes on, a callback, stays for the next time.';

create function quantumflow._hold_free_runs(p_run_ids uuid[])
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_free_runs$
declare
  v_held bigint;
begin
  select
    (select count(*) from (select from quantumflow.workflow_runs r where r.id = any (p_run_ids) for update skip locked) r)
    + (select count(*) from (select from quantumflow.step_states s where s.run_id = any (p_run_ids) for update skip locked) s)
    + (select count(*) from (select from quantumflow.step_tasks t where t.run_id = any (p_run_ids) for update skip locked) t)
  into v_held;

  return v_held = (select count(*) from quantumflow.workflow_runs r where r.id = any (p_run_ids))
    + (select count(*) from quantumflow.step_states s where s.run_id = any (p_run_ids))
    + (select count(*) from quantumflow.step_tasks t where t.run_id = any (p_run_ids));
end
$_hold_free_runs$;

comment on function quantumflow._hold_free_runs(uuid[]) is
'Tries to lock runs with all their tasks and steps, without waiting. False when somebody holds one of them.';
