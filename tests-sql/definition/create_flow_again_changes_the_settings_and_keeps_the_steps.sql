begin;
select plan(7);

select lives_ok(
  $$
  select quantumflow.create_flow('order', timeout => '90 s');
  select quantumflow.add_step('order', 'a');
  select quantumflow.add_step('order', 'b', '{a}', max_attempts => 9)
  $$,
  'a workflow of two steps');

select is((quantumflow.create_flow('order', timeout => '90 s')).version, 1, 'the same call again');

select results_eq(
  $$select s.step_slug, s.max_attempts, s.timeout from quantumflow.workflow_steps s order by s.step_index$$,
  $$values ('a' collate "C", 3, interval '90 s'), ('b', 9, interval '90 s')$$,
  'changes nothing');

select is((quantumflow.create_flow('order', max_attempts => 5)).version, 1, 'other settings replace those of a version that no run has used');

select lives_ok($$select quantumflow.start_flow('order')$$, 'a run uses it');

select is((quantumflow.create_flow('order', max_attempts => 6)).version, 2, 'then other settings make the next version');

select results_eq(
  $$select s.version, s.step_slug, s.max_attempts, s.timeout from quantumflow.workflow_steps s order by s.version, s.step_index$$,
  $$
  values
    (1, 'a' collate "C", 5, interval '60 s'), (1, 'b', 9, interval '60 s'),
    (2, 'a', 6, interval '60 s'), (2, 'b', 9, interval '60 s')
  $$,
  'with the same steps');

select * from finish();
rollback;
