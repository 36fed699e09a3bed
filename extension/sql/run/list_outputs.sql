create type quantumflow.item_output as (
  item_index int,
  output     jsonb
);

comment on type quantumflow.item_output is
'What list_outputs returns: an item of a map, and its output.';
comment on column quantumflow.item_output.item_index is 'The item''s place in the array that was mapped over, from 0; the iteration of a loop; 0 of a single step.';
comment on column quantumflow.item_output.output is 'Its output; SQL null never, JSON null if that is what its handler returned.';

create function quantumflow.list_outputs(run_id uuid, step_slug text, after_index int default -1, max_items int default 1000)
returns setof quantumflow.item_output
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $list_outputs$
declare
  v_max_bytes  constant bigint := 8000000;
  v_chunk_size int;
  v_task       record;
  v_item       quantumflow.item_output;
  v_items      int := 0;
  v_bytes      bigint := 0;
begin
  if list_outputs.max_items is null or list_outputs.max_items not between 1 and 10000 then
    raise exception 'max_items must be between 1 and 10000'
    using
      errcode = 'QF211',
      detail = format('It is %s.', coalesce(list_outputs.max_items::text, 'null')),
      hint = 'Leave it out for 1000, and call again with after_index, the last item_index that came.';
  end if;

  select w.chunk_size
  into v_chunk_size
  from quantumflow.step_states s
  join quantumflow.workflow_runs r
    on r.id = s.run_id
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
  where (s.run_id, s.step_slug) = (list_outputs.run_id, list_outputs.step_slug);

  if not found then
    -- Refuses what is not there.
    perform quantumflow.step_output(list_outputs.run_id, list_outputs.step_slug);
  end if;

  <<tasks>>
  for v_task in
    select t.task_index, t.output
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (list_outputs.run_id, list_outputs.step_slug)
      and t.task_index >= (coalesce(list_outputs.after_index, -1) + 1) / coalesce(v_chunk_size, 1)
      and t.status = 'completed'
    order by t.task_index
    limit list_outputs.max_items
  loop
    v_bytes := v_bytes + pg_column_size(v_task.output);

    for v_item in
      select v_task.task_index, v_task.output
      where v_chunk_size is null
      union all
      select (v_task.task_index * v_chunk_size + e.n - 1)::int, e.output
      from jsonb_array_elements(case when v_chunk_size is not null then v_task.output end) with ordinality e (output, n)
    loop
      continue when v_item.item_index <= list_outputs.after_index;
      return next v_item;
      v_items := v_items + 1;
      exit tasks when v_items = list_outputs.max_items;
    end loop;

    exit when v_bytes >= v_max_bytes;
  end loop;
end
$list_outputs$;

comment on function quantumflow.list_outputs(uuid, text, int, int) is
'The outputs of a map, item by item, in the order of the items: of those tasks that have completed, so it has gaps while the map goes on, and
where tasks have failed. Of a single step, its output, as item 0; of a loop, what each of its iterations put out that are kept.

after_index: only items after this one. max_items: how many at most; fewer come once they have 8 MB as stored. So ask again, after
the last one that came, until none comes.

Errors: QF201 unknown run; QF211 bad max_items; QF307 the run has no such step.';
