begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "m", "type": "map"}, {"name": "join", "dependencies": ["a", "b", "c", "m"]}]}');
select quantumflow.start_flow('w', '[1, 2]', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', '[]', run_id => '10000000-0000-0000-0000-000000000002');

create temporary table claimed on commit drop as
select format('%s%s', right(c.run_id::text, 1), c.step_slug) as name, to_jsonb(c) as result
from quantumflow.claim_tasks(gen_random_uuid(), 10) c;
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 1);
select outcome from quantumflow.complete_tasks((
  select jsonb_agg(c.result order by n.n)
  from (values (1, '2a'), (2, '1c'), (3, '1b')) n (n, name) join claimed c using (name)));
select results_eq(
  'select right(run_id::text, 1), status, remaining_deps from quantumflow.step_states where step_slug = ''join'' order by 1',
  $$values ('1', 'created', 1), ('2', 'created', 2)$$,
  'not before the last one');
select is_empty('select from quantumflow.step_tasks where step_slug = ''join''', 'nothing is queued for it');
select outcome from quantumflow.complete_tasks((
  select jsonb_agg(c.result order by n.n)
  from (values (1, '2b'), (2, '1m'), (3, '2c')) n (n, name) join claimed c on c.name = n.name and c.result ->> 'task_index' = '0'));

select results_eq(
  'select right(run_id::text, 1), status, remaining_deps from quantumflow.step_states where step_slug = ''join'' order by 1',
  $$values ('1', 'started', 0), ('2', 'started', 0)$$,
  'then it starts, whether they end one by one or together');
select results_eq(
  'select right(run_id::text, 1), task_index from quantumflow.step_tasks where step_slug = ''join'' order by 1',
  $$values ('1', 0), ('2', 0)$$, 'with one task');
select results_eq(
  $$select message ->> 'step_name', count(*)::int from pgmq.q_quantum_flow_queue group by 1$$,
  $$values ('join', 2)$$, 'and one message each');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
