create function quantumflow._exceeds_some_limit(p_results jsonb)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_exceeds_some_limit$
begin
  return quantumflow._bytes(p_results) > (
    select min(coalesce(s.value::bigint, l.usual) * case l.name when 'max_map_items' then 4 else 1 end)
    from quantumflow._limits() l
    left join quantumflow.settings s
      on s.name = l.name
    where l.name in ('max_output_bytes', 'max_map_items'));
end
$_exceeds_some_limit$;

comment on function quantumflow._exceeds_some_limit(jsonb) is
'Whether results have more bytes together than the output of one may have, or must have before it exceeds a limit.';

-- Without a path of its own, so that it is inlined where it is called. No limit can be lower than 1000, and an item has four bytes at least.
create function quantumflow._may_exceed(p_results jsonb)
returns boolean
language sql
stable
return quantumflow._bytes(p_results) > 1000 and quantumflow._exceeds_some_limit(p_results);

comment on function quantumflow._may_exceed(jsonb) is
'Whether results are so large together that the output of one may exceed a limit.';

create function quantumflow._fits(
  p_feeds_map  boolean,
  p_chunk_size int,
  p_run_id     uuid,
  p_step_slug  text,
  p_task_index int,
  p_output     jsonb)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fits$
begin
  if not p_feeds_map and p_chunk_size is null then
    return true;
  end if;

  if jsonb_typeof(p_output) is distinct from 'array' then
    return false;
  end if;

  return p_chunk_size is null or jsonb_array_length(p_output) = (
    select jsonb_array_length(t.item_value)
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug, t.task_index) = (p_run_id, p_step_slug, p_task_index));
end
$_fits$;

comment on function quantumflow._fits(boolean, int, uuid, text, int, jsonb) is
'Whether an output is what its step asks for: an array where a map maps over it, with an entry for each item of the task''s chunk where
the step''s tasks are chunks.';
