create type quantumflow.failed_item as (
  item_index    int,
  task_index    int,
  kind          text,
  error_message text
);

comment on type quantumflow.failed_item is 'An item of a map whose task has failed for good, so that there is no output of it.';
comment on column quantumflow.failed_item.item_index is 'The position of the item, and of the null in the map''s output, from 0; null for a step that is no map.';
comment on column quantumflow.failed_item.task_index is 'The task, which has several items in a map in chunks.';
comment on column quantumflow.failed_item.kind is 'What its last attempt failed of: error, timeout or lost.';
comment on column quantumflow.failed_item.error_message is 'What was reported of that.';

create function quantumflow.failed_items(run_id uuid, step_slug text)
returns setof quantumflow.failed_item
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $failed_items$
begin
  -- Refuses what is not there.
  perform quantumflow.step_output(failed_items.run_id, failed_items.step_slug);

  return query
  select i.item_index, t.task_index, coalesce(f.kind, 'error'), t.error_message
  from quantumflow.step_tasks t
  join quantumflow.workflow_runs r
    on r.id = t.run_id
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, t.step_slug)
  left join lateral (
    select l.kind
    from quantumflow.task_failures l
    where (l.run_id, l.step_slug, l.task_index, l.retries) = (t.run_id, t.step_slug, t.task_index, r.retries)
    order by l.attempt desc
    limit 1
  ) f on true
  cross join lateral (
    select case when w.gathers then t.task_index end as item_index
    where w.chunk_size is null
    union all
    select t.task_index * w.chunk_size + n
    from generate_series(0, jsonb_array_length(case when w.chunk_size is not null then t.item_value end) - 1) n
  ) i
  where (t.run_id, t.step_slug) = (failed_items.run_id, failed_items.step_slug)
    and t.status = 'failed'
  order by t.task_index, i.item_index;
end
$failed_items$;

comment on function quantumflow.failed_items(uuid, text) is
'The items of a map whose tasks have failed for good, in their order, each with the error of its task: those whose places in the output are
null, and of a map that has failed, or fallen back, those that did it. Of a step that is no map, its task.

Errors: QF201 unknown run; QF307 the run has no such step.';
