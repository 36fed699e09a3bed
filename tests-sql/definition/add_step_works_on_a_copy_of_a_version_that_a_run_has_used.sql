begin;
select plan(7);

select lives_ok(
  $$
  select quantumflow.create_flow('order', timeout => '90 s');
  select quantumflow.add_step('order', 'a', max_attempts => 9);
  select quantumflow.start_flow('order')
  $$,
  'a run uses a workflow of one step');

select is((quantumflow.add_step('order', 'b', '{a}')).version, 2, 'a step is added to the next version');
select is((quantumflow.add_step('order', 'c', '{b}')).version, 2, 'and so is one more');

select results_eq(
  $$
  select s.version, s.step_slug, s.max_attempts, s.timeout, s.dependents::text
  from quantumflow.workflow_steps s
  order by s.version, s.step_index
  $$,
  $$
  values
    (1, 'a' collate "C", 9, interval '90 s', '{}' collate "C"),
    (2, 'a', 9, interval '90 s', '{b}'),
    (2, 'b', 3, interval '90 s', '{c}'),
    (2, 'c', 3, interval '90 s', '{}')
  $$,
  'which has the settings and steps of the one before');

select results_eq(
  'select r.version, r.remaining_steps from quantumflow.workflow_runs r',
  'values (1, 1)',
  'the run keeps its version');

select lives_ok($$select quantumflow.start_flow('order')$$, 'another run starts');

select results_eq(
  'select r.version, r.remaining_steps from quantumflow.workflow_runs r order by r.version',
  'values (1, 1), (2, 3)',
  'a new run has the new steps');

select * from finish();
rollback;
