begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "one", "steps": [{"name": "a"}]}');
select quantumflow.define_flow('{"slug": "chain", "steps": [{"name": "x"}, {"name": "y", "dependencies": ["x"]}]}');
select quantumflow.define_flow('{"slug": "maps", "queue": "map_queue", "steps": [
  {"name": "m", "type": "map"}, {"name": "end", "dependencies": ["m"]}]}');
select quantumflow.start_flow('one', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('chain', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.start_flow('maps', '[5, 6]', run_id => '10000000-0000-0000-0000-000000000003');
select quantumflow.start_flow('maps', '[7, 8]', run_id => '10000000-0000-0000-0000-000000000004');
create temporary table claimed on commit drop as
select * from quantumflow.claim_tasks(gen_random_uuid(), 10, '{map_queue,quantum_flow_queue}');

select is(
  (select count(*)::int
   from quantumflow.complete_tasks((
     select jsonb_agg(to_jsonb(c) || jsonb_build_object('output', task_index) order by random())
     from claimed c
     where not (right(run_id::text, 1) = '4' and task_index = 1))) o
   where o.outcome = 'completed'),
  5, 'five of six results');
select results_eq(
  'select right(id::text, 1), status, remaining_steps, output from quantumflow.workflow_runs order by 1',
  $$values ('1', 'completed', 0, '{"a": 0}'::jsonb), ('2', 'started', 1, null), ('3', 'started', 1, null), ('4', 'started', 2, null)$$,
  'each run is where it should be');
select results_eq(
  'select right(run_id::text, 1), step_slug, status, remaining_deps, remaining_tasks from quantumflow.step_states order by 1, 2',
  $$values
    ('1', 'a' collate "C", 'completed', 0, 0),
    ('2', 'x', 'completed', 0, 0), ('2', 'y', 'started', 0, 1),
    ('3', 'end', 'started', 0, 1), ('3', 'm', 'completed', 0, 0),
    ('4', 'end', 'created', 1, 1), ('4', 'm', 'started', 0, 1)$$,
  'and each step');
select results_eq(
  'select message ->> ''step_name'' from pgmq.q_quantum_flow_queue', $$values ('y')$$, 'one message in the one queue');
select results_eq(
  $$select right(message ->> 'workflow_run_id', 1), message ->> 'step_name', message ->> 'task_index'
    from pgmq.q_map_queue order by 1$$,
  $$values ('3', 'end', '0'), ('4', 'm', '1')$$,
  'two in the other');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
