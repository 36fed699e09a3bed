begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.set_limit('api', 2);
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a", "type": "map", "limit": {"name": "api", "key": "$.item"}}, {"name": "free", "type": "map"}]}');

-- One has a hundred, and came first; ten have four each.
select quantumflow.start_flow('w', (select jsonb_agg(0) from generate_series(1, 100) n));
set local quantumflow.now = '2030-01-01 00:00:01+00';
select quantumflow.start_flow('w', (select jsonb_agg(n % 10 + 1) from generate_series(1, 40) n));

select results_eq(
  'select quantumflow._command_of(message), count(*) from pgmq.q_quantum_flow_queue where vt < ''infinity'' group by 1 order by 1',
  $$values ('a', 22::bigint), ('free', 140)$$, 'two of each key can be claimed, and of others all');

create function pg_temp.worked(tasks int) returns jsonb[] language plpgsql as $$
declare
  v_task quantumflow.claimed_task;
  v_got  jsonb[];
begin
  for n in 1 .. tasks loop
    perform set_config('quantumflow.now', (quantumflow._now() + interval '1 s')::text, true);
    select * into v_task from quantumflow.claim_tasks(gen_random_uuid(), 1, commands => '{a}');
    v_got := v_got || (v_task.input -> 'item');
    perform quantumflow.complete_task(v_task.run_id, v_task.step_slug, v_task.task_index, '1', v_task.lease_token);
  end loop;
  return v_got;
end
$$;

create temporary table first as select unnest(pg_temp.worked(44)) as key;
select results_eq('select distinct count(*) from first group by key', 'values (4::bigint)', 'each has had as many as the others');
select results_eq('select distinct key::int from first order by 1', 'select generate_series(0, 10)', 'all of them');
select is(pg_temp.worked(3), '{0,0,0}'::jsonb[], 'then the one that has more goes on');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
