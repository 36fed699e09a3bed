begin;
select plan(20);

select lives_ok(
  $$
  select quantumflow.create_flow('order');
  select quantumflow.add_step('order', 'a');
  select quantumflow.add_step('order', 'b', '{a}')
  $$,
  'a workflow of two steps');

select throws_ok($$select quantumflow.add_step('nowhere', 'c')$$, 'QF111', 'workflow "nowhere" does not exist', 'an unknown workflow');
select throws_ok($$select quantumflow.add_step(null, 'c')$$, 'QF101', 'workflow_slug must not be null', 'no workflow');
select throws_ok($$select quantumflow.add_step('order', null)$$, 'QF101', 'step_slug must not be null', 'no name');
select throws_ok($$select quantumflow.add_step('order', 'c', null)$$, 'QF101', 'depends_on must not be null', 'no list');
select throws_ok($$select quantumflow.add_step('order', 'c', '{}', null)$$, 'QF101', 'step_type must not be null', 'no type');
select throws_ok($$select quantumflow.add_step('order', 'c', '{null}')$$, 'QF101', null, 'no dependency');
select throws_ok($$select quantumflow.add_step('order', 'c', '{{a,b}}')$$, 'QF101', null, 'an array of arrays');
select throws_ok($$select quantumflow.add_step('order', 'c', step_type => 'batch')$$, 'QF101', null, 'an unknown type');
select throws_ok($$select quantumflow.add_step('order', 'c', max_attempts => 0)$$, 'QF101', null, 'no attempts');
select throws_ok($$select quantumflow.add_step('order', 'c', start_delay => '-1 s')$$, 'QF101', null, 'a negative delay');
select throws_ok($$select quantumflow.add_step('order', 'item')$$, 'QF103', null, 'a reserved name');
select throws_ok($$select quantumflow.add_step('order', 'A')$$, 'QF104', 'duplicate step "A"', 'a name that differs only in case');
select throws_ok(
  $$select quantumflow.add_step('order', 'c', '{a,x}')$$, 'QF105', 'step "c" depends on unknown step "x"', 'an unknown dependency');
select throws_ok($$select quantumflow.add_step('order', 'c', '{c}')$$, 'QF106', 'step "c" depends on itself', 'itself');
select throws_ok(
  $$select quantumflow.add_step('order', 'a', '{b}')$$, 'QF107', 'steps depend on each other in a cycle: a -> b -> a', 'a cycle');
select throws_ok($$select quantumflow.add_step('order', 'c', '{a,b}', 'map')$$, 'QF108', null, 'a map over two');
select throws_ok($$select quantumflow.add_step('order', 'c', queue => 'Q')$$, 'QF110', null, 'a queue that pgmq would fold');

select results_eq(
  $$select s.step_slug, s.dependencies::text from quantumflow.workflow_steps s order by s.step_index$$,
  $$values ('a' collate "C", '{}' collate "C"), ('b', '{a}')$$,
  'the workflow is as it was');

select is((quantumflow.add_step('order', 'c', '{a,b}')).step_index, 2, 'and takes the step when it is right');

select * from finish();
rollback;
