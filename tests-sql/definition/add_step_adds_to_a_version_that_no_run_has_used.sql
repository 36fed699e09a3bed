begin;
select plan(6);

select lives_ok($$select quantumflow.create_flow('order')$$, 'a workflow');

select results_eq(
  $$
  select s.version, s.step_slug, s.step_index, s.step_type, s.command, s.dependencies::text
  from quantumflow.add_step('order', 'a') s
  $$,
  $$values (1, 'a' collate "C", 0, 'single', 'a', '{}' collate "C")$$,
  'a first step: single, without dependencies');

select results_eq(
  $$
  select s.version, s.step_slug, s.step_index, s.step_type, s.map_over, s.dependencies::text
  from quantumflow.add_step('order', 'b', '{a}', 'map') s
  $$,
  $$values (1, 'b' collate "C", 1, 'map', 'a' collate "C", '{a}' collate "C")$$,
  'a map over it');

select results_eq(
  $$
  select s.version, s.step_slug, s.command, s.map_over, s.max_attempts, s.max_lost, s.retry_delay, s.timeout, s.start_delay, s.queue, s.args
  from quantumflow.add_step(
    'order', 'c', '{a,b,a}', 'map', command => 'do', map_over => 'b', max_attempts => 4, max_lost => 1, retry_delay => '2 min',
    timeout => '1 h', start_delay => '1 day', queue => 'later', args => '[null]') s
  $$,
  $$
  values (1, 'c' collate "C", 'do', 'b' collate "C", 4, 1, interval '120 s', interval '1 h', interval '24 h', 'later', '[null]'::jsonb)
  $$,
  'and everything else that a step can have');

select results_eq(
  $$select s.step_slug, s.dependents::text, s.feeds_map from quantumflow.workflow_steps s order by s.step_index$$,
  $$values ('a' collate "C", '{b,c}' collate "C", true), ('b', '{c}', false), ('c', '{}', false)$$,
  'the earlier steps know who waits for them');

select results_eq(
  $$select e.step_slug, e.depends_on_step from quantumflow.workflow_step_edges e order by 1, 2$$,
  $$values ('b' collate "C", 'a' collate "C"), ('c', 'a'), ('c', 'b')$$,
  'each dependency is one edge');

select * from finish();
rollback;
