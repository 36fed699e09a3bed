begin;
select plan(12);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "rows", "type": "map", "chunk_size": "auto"}]}');
select is((select chunk_size from quantumflow.workflow_steps), 1, 'auto begins with one item a task');
select throws_ok(
  $$ select quantumflow.define_flow('{"slug": "v", "steps": [{"name": "rows", "type": "map", "chunk_size": "many"}]}') $$, 'QF101', null,
  'another word is refused');

-- A run of 40 items: 10 ms a call and 1 ms an item, one task after the other.
create function pg_temp.work() returns int language plpgsql as $$
declare
  v_run  uuid := quantumflow.start_flow('w', (select jsonb_agg(n) from generate_series(1, 40) n));
  v_task record;
begin
  for v_task in
    select c.*, t.item_value from quantumflow.claim_tasks(gen_random_uuid(), quantity => 1000) c
    join quantumflow.step_tasks t using (run_id, step_slug, task_index)
  loop
    perform set_config('quantumflow.now', (quantumflow._now() + make_interval(secs => 0.01 + 0.001 * jsonb_array_length(v_task.item_value)))::text, true);
    perform quantumflow.complete_tasks(jsonb_build_array(jsonb_build_object(
      'run_id', v_run, 'step_slug', 'rows', 'task_index', v_task.task_index, 'lease_token', v_task.lease_token, 'output', v_task.item_value,
      'seconds', 0.01 + 0.001 * jsonb_array_length(v_task.item_value))));
  end loop;
  return (select r.initial_tasks from quantumflow.step_states r where r.run_id = v_run);
end
$$;

select is((quantumflow.optimize_flow('w')).state, null, 'basic leaves it alone');
select is((quantumflow.optimize_flow('w', 'advanced')).state, 'observing', 'advanced observes it');
select is((quantumflow.optimize_flow('w', 'advanced')).number, 1, 'who optimizes again gets the same policy');
select is(array(select pg_temp.work() from generate_series(1, 5)), '{40,10,3,1,40}', 'chunks of 1, 4, 16 and 64 in turn');
select is((select state from quantumflow.advance_trials()), 'observing', 'until there are six runs');
select pg_temp.work();
select is((select state from quantumflow.advance_trials()), 'trial', 'then what they say is tried');
select results_eq(
  $$ select c ->> 'key', c -> 'current', c -> 'suggested', predicted_gain > 0.5 from quantumflow.policies, jsonb_array_elements(changes) c $$,
  $$ values ('chunk_size', '"auto"'::jsonb, '10'::jsonb, true) $$, 'as many as leave a slot four tasks');
select pg_temp.work() from generate_series(1, 12);
select is((select array[state, (wins + losses)::text] from (select (a).* from quantumflow._advance_policies(quantumflow._now()) a) p), '{adopted,0}', 'six pairs adopt it');
select is((select won from quantumflow.policy_history('w')), 6::bigint, 'each of which it has won');
select is_empty('select * from quantumflow.check_state()', 'all is in order');

select * from finish();
rollback;
