begin;
select plan(3);

create temporary table given (key text, value jsonb, fits boolean);
insert into given
values
  ('max_attempts', '1', true), ('max_attempts', '1000000', true), ('max_attempts', '3.0', true), ('max_attempts', '1.5', false),
  ('max_attempts', '0', false), ('max_attempts', '-1', false), ('max_attempts', '1000001', false), ('max_attempts', '"3"', false),
  ('max_attempts', 'null', false),
  ('max_lost', '1', true), ('max_lost', '1000000', true), ('max_lost', '0', false), ('max_lost', '2.5', false), ('max_lost', '1e400', false),
  ('retry_delay', '0', true), ('retry_delay', '0.25', true), ('retry_delay', '315360000', true), ('retry_delay', '-0.1', false),
  ('retry_delay', '315360001', false), ('retry_delay', '"1 s"', false),
  ('timeout', '0.001', true), ('timeout', '3600', true), ('timeout', '0', false), ('timeout', '-1', false), ('timeout', '1e400', false),
  ('timeout', '"60"', false),
  ('queue', '"orders"', true), ('queue', '5', false);

select set_eq(
  $$
  select g.key, g.value
  from given g
  where not exists (
    select
    from quantumflow.validate_flow(jsonb_build_object('slug', 'order', 'steps', '[{"name": "a"}]'::jsonb, g.key, g.value)))
  $$,
  'select key, value from given where fits',
  'a flow takes what fits');

select set_eq(
  $$
  select g.key, g.value
  from given g
  where not exists (
    select
    from quantumflow.validate_flow(jsonb_build_object(
      'slug', 'order', 'steps', jsonb_build_array(jsonb_build_object('name', 'a', g.key, g.value)))))
  $$,
  'select key, value from given where fits',
  'a step takes what fits');

select results_eq(
  $$
  select g.step, v.code
  from (
    values
      (1, '{"name": "a", "start_delay": 0}'), (2, '{"name": "a", "start_delay": -1}'), (3, '{"name": "a", "start_delay": "1"}'),
      (4, '{"name": "a", "type": "batch"}'), (5, '{"name": "a", "type": 1}'), (6, '{"name": "a", "command": ""}'),
      (7, jsonb_build_object('name', 'a', 'command', repeat('c', 257))::text),
      (8, jsonb_build_object('name', 'a', 'command', repeat('c', 256))::text),
      (9, '{"name": "a", "dependencies": "b"}'), (10, '{"name": "a", "args": null}'), (11, '{"name": "a", "map_over": 1}')
  ) as g(number, step)
  cross join lateral quantumflow.validate_flow(
    jsonb_build_object('slug', 'order', 'steps', jsonb_build_array(g.step::jsonb))) v
  order by g.number
  $$,
  $$
  values
    ('{"name": "a", "start_delay": -1}', 'QF101'), ('{"name": "a", "start_delay": "1"}', 'QF101'),
    ('{"name": "a", "type": "batch"}', 'QF101'), ('{"name": "a", "type": 1}', 'QF101'), ('{"name": "a", "command": ""}', 'QF101'),
    (jsonb_build_object('name', 'a', 'command', repeat('c', 257))::text, 'QF101'),
    ('{"name": "a", "dependencies": "b"}', 'QF101'), ('{"name": "a", "map_over": 1}', 'QF101')
  $$,
  'the keys that only steps have, too');

select * from finish();
rollback;
