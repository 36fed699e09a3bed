begin;
select plan(3);

create function pg_temp.says(turns jsonb) returns setof text language sql as $$
  select code || ' ' || path || ': ' || message
  from quantumflow.validate_flow(jsonb_build_object('slug', 'w', 'steps', '[{"name": "a"}]'::jsonb, 'one_at_a_time', turns))
$$;

select is_empty(
  $$select pg_temp.says(s) from unnest(array['{}', '{"key": "$.run.a"}', '{"when_busy": "cancel"}', '{"key": "$.run", "when_busy": "refuse"}']::jsonb[]) s$$,
  'these may be');
select results_eq(
  $$select pg_temp.says(s) from unnest(array[
    'true', '{"keys": 1}', '{"when_busy": "wait"}', '{"key": 1}', '{"key": "$.a"}', '{"key": "$.run.**"}']::jsonb[]) s$$,
  $$values
    ('QF101 one_at_a_time: one_at_a_time must be {"key", "when_busy"}, not true'),
    ('QF102 one_at_a_time: one_at_a_time has the unknown key "keys"'),
    ('QF101 one_at_a_time.when_busy: when_busy must be "queue", "refuse" or "cancel", not "wait"'),
    ('QF117 one_at_a_time.key: the key of one_at_a_time must be a jsonpath of 1 to 2000 characters, not 1'),
    ('QF117 one_at_a_time.key: the key of one_at_a_time asks for $.a, and a is neither run nor a dependency'),
    ('QF117 one_at_a_time.key: the key of one_at_a_time has .**, which looks at everything below')$$,
  'and these may not');
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}], "one_at_a_time": {"key": " $.run "}}');
select is((select turns from quantumflow.workflow_versions), '{"key": "$.run", "when_busy": "queue"}'::jsonb, 'what a start must know of it');

select * from finish();
rollback;
