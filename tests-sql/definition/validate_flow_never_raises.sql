begin;
select plan(5);

select results_eq(
  $$
  select v.code, v.path, v.message
  from (values (1, null), (2, 'null'), (3, '[]'), (4, '"order"'), (5, '1e400'), (6, 'true')) as g(number, given)
  cross join lateral quantumflow.validate_flow(g.given::jsonb) v
  order by g.number
  $$,
  $$
  values
    ('QF101', '', 'the definition must be an object, not null'),
    ('QF101', '', 'the definition must be an object, not null'),
    ('QF101', '', 'the definition must be an object, not an array'),
    ('QF101', '', 'the definition must be an object, not "order"'),
    ('QF101', '', 'the definition must be an object, not 1' || repeat('0', 79) || '...'),
    ('QF101', '', 'the definition must be an object, not true')
  $$,
  'whatever is not an object has the wrong structure');

-- Every key that there is, holding every kind of value.
create temporary table kind (value jsonb);
insert into kind
values ('null'), ('true'), ('0'), ('-1'), ('1e400'), ('-1e400'), ('1e-400'), ('1e131000'), ('""'), ('"a"'), ('"\n"'), ('[]'),
  ('["a"]'), ('[[]]'), ('[null]'), ('[{}]'), ('{}'), ('{"a": 1}'), (to_jsonb(repeat('x', 100000)));

create temporary table key (key text);
insert into key
values ('version'), ('slug'), ('title'), ('max_attempts'), ('max_lost'), ('retry_delay'), ('timeout'), ('queue'), ('on_complete'),
  ('on_failure'), ('steps'), ('name'), ('type'), ('command'), ('args'), ('dependencies'), ('depends_on'), ('map_over'),
  ('start_delay'), ('unknown'), ('');

select lives_ok(
  $$select v.code from key, kind, lateral quantumflow.validate_flow(jsonb_build_object(key, value)) v$$,
  'a flow may hold anything');

select lives_ok(
  $$
  select v.code
  from key, kind, lateral quantumflow.validate_flow(
    jsonb_build_object('slug', 'order', 'steps', jsonb_build_array(jsonb_build_object(key, value), value))) v
  $$,
  'a step may hold anything');

select is(
  (
    select count(*)
    from key, kind, lateral quantumflow.validate_flow(jsonb_build_object('slug', 'order', 'steps', jsonb_build_array('{}'::jsonb, value))) v
    where v.message ~ '[\n\r]' or length(v.message) > 1000
  ),
  0::bigint,
  'a message is one short line whatever was given');

select lives_ok(
  format(
    'select * from quantumflow.validate_flow(%L)',
    '{"slug": "order", "steps": [{"name": "a", "args": ' || repeat('[', 3000) || repeat(']', 3000) || '}]}'),
  'a value may be deep');

select * from finish();
rollback;
