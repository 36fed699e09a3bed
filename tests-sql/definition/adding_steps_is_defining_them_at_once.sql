begin;
select plan(3);

select lives_ok(
  $$
  select quantumflow.create_flow('order', title => 'Orders', timeout => '1 month', on_failure => 'alarm');
  select quantumflow.add_step('order', 'a', command => 'do', retry_delay => '1.5 s');
  select quantumflow.add_step('order', 'b', '{a}', 'map', start_delay => '0');
  select quantumflow.start_flow('order')
  $$,
  'a workflow is built step by step');

select is(
  (quantumflow.define_flow('{"slug": "order", "title": "Orders", "timeout": 2592000, "on_failure": "alarm", "steps": [
    {"name": "b", "type": "map", "dependencies": ["a"]},
    {"name": "a", "command": "do", "retry_delay": 1.50}
  ]}')).version,
  1,
  'the whole definition is the same content; a month counts thirty days');

select is(
  (select count(*) from quantumflow.workflow_versions),
  1::bigint,
  'there is one version');

select * from finish();
rollback;
