create function quantumflow.setup()
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $setup$
declare
  v_queue text;
  v_made  text[] := array[]::text[];
begin
  for v_queue in
    select *
    from quantumflow._named_queues()
  loop
    if not quantumflow._is_there(v_queue) then
      v_made := v_made || v_queue;
    end if;
    perform quantumflow._ensure_queue(v_queue, p_is_ours => true);
  end loop;

  if v_made = '{}' then
    return 'ready';
  end if;
  return 'ready; created ' || array_to_string(v_made, ', ');
end
$setup$;

comment on function quantumflow.setup() is
'Makes every queue that definitions and settings name, the default one included. Says what it did; safe to repeat.

Defining a workflow makes its queues too, so this is for a worker that starts first and for restored databases.

Errors: QF110 when a queue''s name is not valid; QF402 when pgmq is missing or older than 1.5.1; QF403 when a
queue is somebody else''s or holds messages of somebody else; QF406 when pgmq is somebody else''s.';
