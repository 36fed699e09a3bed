begin;
select plan(6);

select lives_ok(
  $$
  select quantumflow.create_flow('order');
  select quantumflow.add_step('order', 'a');
  select quantumflow.add_step('order', 'b', '{a}', timeout => '5 s', args => '{"x": 1}');
  select quantumflow.add_step('order', 'c', '{b}');
  select quantumflow.start_flow('order')
  $$,
  'a run uses a workflow of three steps');

create temporary table before as
select s.*, s.xmin::text as written from quantumflow.workflow_steps s;

select is(
  (quantumflow.add_step('order', 'b', '{a}', timeout => '5 s', args => '{"x": 1}')).version,
  1, 'the same call again');

select results_eq(
  'select s.*, s.xmin::text as written from quantumflow.workflow_steps s order by s.step_index',
  'select * from before order by step_index',
  'changes nothing');

select is((quantumflow.add_step('order', 'b', timeout => '6 s')).version, 2, 'other content makes the next version');

select results_eq(
  $$
  select s.step_slug, s.timeout, s.args, s.dependencies::text
  from quantumflow.workflow_steps s
  where s.version = 2
  order by s.step_index
  $$,
  $$
  values ('a' collate "C", interval '60 s', null::jsonb, '{}' collate "C"), ('b', interval '6 s', null, '{}'), ('c', interval '60 s', null, '{b}')
  $$,
  'in which the step is as the call says, at its old place');

select is(
  (quantumflow.add_step('order', 'b', '{a}', timeout => '5 s', args => '{"x": 1}')).version,
  1, 'and the first call again goes back');

select * from finish();
rollback;
