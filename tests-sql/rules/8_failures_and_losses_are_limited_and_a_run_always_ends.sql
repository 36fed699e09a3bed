begin;
select plan(7);

-- Whatever becomes of the attempts, by chance, every run ends, within its limits.
insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select setseed(0.42);
select quantumflow.define_flow('{"slug": "w", "max_attempts": 3, "max_lost": 2, "retry_delay": 1, "timeout": 20, "on_failure": "f", "on_complete": "c", "steps": [
  {"name": "m", "type": "map"}, {"name": "z", "dependencies": ["m"]}]}');
select count(*) from quantumflow.start_flows('w', array_fill('[1, 2]'::jsonb, array[40]));

create function pg_temp.work()
returns int
language plpgsql
as $$
declare
  v_rounds int := 0;
  v_task   quantumflow.claimed_task;
begin
  while exists (select from pgmq.q_quantum_flow_queue) loop
    v_rounds := v_rounds + 1;
    exit when v_rounds > 500;
    for v_task in select * from quantumflow.claim_tasks(gen_random_uuid(), 7, lease => '10 s') loop
      case floor(random() * 6)
        when 0 then perform quantumflow.fail_task(v_task.run_id, v_task.step_slug, v_task.task_index, 'x', v_task.lease_token);
        when 1 then null; -- lost
        when 2 then perform quantumflow.extend_leases(gen_random_uuid(), jsonb_build_array(to_jsonb(v_task)), '1 min'); -- times out
        when 3 then perform quantumflow.release_tasks(jsonb_build_array(to_jsonb(v_task)));
        else perform quantumflow.complete_task(v_task.run_id, v_task.step_slug, v_task.task_index, '1', v_task.lease_token);
      end case;
    end loop;
    if v_rounds % 2 = 0 then
      perform quantumflow.sweep();
    end if;
    perform set_config('quantumflow.now', (quantumflow._now() + interval '5 s')::text, true);
  end loop;
  return v_rounds;
end
$$;
select cmp_ok(pg_temp.work(), '<', 500, 'the queue is empty in the end');
select is_empty('select from quantumflow.workflow_runs where status not in (''completed'', ''failed'')', 'every run has ended');
select set_eq('select distinct status from quantumflow.workflow_runs', array['completed', 'failed'], 'the one way or the other');
select is_empty(
  'select run_id, step_slug, task_index from quantumflow.task_failures
   group by 1, 2, 3
   having count(*) filter (where kind in (''error'', ''timeout'')) > 3 or count(*) filter (where kind = ''lost'') > 2',
  'no task has more failures or losses than its limits');
select set_eq('select distinct kind from quantumflow.task_failures', array['error', 'timeout', 'lost'], 'of which there were all kinds');
select is_empty(
  'select from quantumflow.step_tasks t
   where t.losses <> (select count(*) from quantumflow.task_failures f
     where (f.run_id, f.step_slug, f.task_index, f.kind) = (t.run_id, t.step_slug, t.task_index, ''lost''))',
  'and every loss is on record');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
