begin;
select plan(16);

select is(
  (quantumflow.create_flow('order', options => '{"version": "1.0", "max_attempts": 5, "title": "Orders"}')).definition,
  '{"version": "1.0", "slug": "order", "max_attempts": 5, "title": "Orders", "steps": []}'::jsonb,
  'of a flow');
select is(
  (quantumflow.create_flow('order', max_attempts => 3, options => '{"max_attempts": 6}')).definition -> 'max_attempts',
  '6'::jsonb,
  'an argument that has its default is not given');

select quantumflow.add_step('order', 'a');
select is(
  (quantumflow.add_step('order', 'b', options => '{"depends_on": ["a"], "type": "map", "chunk_size": 2, "args": null}')).step_slug,
  'b' collate "C",
  'of a step, under either name');
select is(
  quantumflow.get_flow('order') #> '{steps,1}',
  '{"name": "b", "type": "map", "dependencies": ["a"], "map_over": "a", "chunk_size": 2, "args": null}'::jsonb,
  'as if they were in a definition');

-- Given both ways.
select throws_ok(
  $$select quantumflow.create_flow('order', timeout => '5 s', options => '{"timeout": 5}')$$,
  'QF102', 'options has the key "timeout", which is given already', 'a setting');
select throws_ok($$select quantumflow.create_flow('order', options => '{"slug": "other"}')$$, 'QF102', null, 'a flow''s slug');
select throws_ok(
  $$select quantumflow.create_flow('order', options => '{"steps": []}')$$,
  'QF102', 'options has the key "steps", which is given already', 'its steps, which are kept');
select throws_ok($$select quantumflow.add_step('order', 'c', options => '{"name": "d"}')$$, 'QF102', null, 'a step''s name');
select throws_ok($$select quantumflow.add_step('order', 'c', options => '{"slug": "d"}')$$, 'QF102', null, 'or slug');
select throws_ok(
  $$select quantumflow.add_step('order', 'c', '{a}', options => '{"depends_on": ["b"]}')$$,
  'QF102', 'options has the key "depends_on", which is given already', 'dependencies, whatever they are called');
select throws_ok(
  $$select quantumflow.add_step('order', 'c', args => '1', options => '{"args": 1}')$$, 'QF102', null, 'the same value too');

-- Wrong in themselves: as define_flow says it.
select throws_ok(
  $$select quantumflow.create_flow('order', options => '{"max_attemts": 1}')$$, 'QF102', 'unknown key "max_attemts"', 'an unknown key');
select throws_ok(
  $$select quantumflow.add_step('order', 'c', options => '{"max_attempts": null}')$$,
  'QF101', 'max_attempts must be a whole number from 1 to 1000000, not null', 'null is no value here');
select throws_ok($$select quantumflow.add_step('order', 'c', options => null)$$, 'QF101', 'options must not be null', 'no options');
select throws_ok($$select quantumflow.create_flow('order', options => '[]')$$, 'QF101', 'options must be an object, not an array', 'a list');

select is((select count(*) from quantumflow.workflow_steps), 2::bigint, 'nothing is left behind');

select * from finish();
rollback;
