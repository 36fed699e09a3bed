begin;
select plan(5);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => 'abcdef00-0000-0000-0000-00000000000A');
select count(*) from quantumflow.claim_tasks(gen_random_uuid());

create function pg_temp.outcomes(p_key text, p_values jsonb)
returns setof text
language sql
as $$
  select distinct o.outcome
  from quantumflow.complete_tasks((
    select jsonb_agg(
      '{"run_id": "abcdef00-0000-0000-0000-00000000000a", "step_slug": "a", "task_index": 0}'
      || jsonb_build_object('lease_token', t.lease_token)
      || jsonb_build_object(p_key, v.value))
    from jsonb_array_elements(p_values) v
    cross join quantumflow.step_tasks t)) o;
$$;

-- Of each kind, so that no single look at the text is enough: too short, too long, digits that are none, dashes too few, too many,
-- or elsewhere.
select results_eq(
  $$select pg_temp.outcomes('run_id', '["", "nonsense", 5, {}, "abcdef00000000000000000000000000a",
    "abcdef00-0000-0000-0000-00000000000", "abcdef00-0000-0000-0000-00000000000a0",
    "abcdef00-0000-0000-0000-00000000000g", "abcdef00-0000-0000-0000-0000000-000a", "a-cdef00-0000-0000-0000-00000000000a",
    "abcdef000-000-0000-0000-00000000000a", "{bcdef00-0000-0000-0000-00000000000}", "abcdef00-0000-0000-0000-00000000000\n"]')$$,
  $$values ('stale')$$,
  'an id of another form names no run');
select results_eq(
  $$select pg_temp.outcomes('task_index', '["", "zero", -1, 0.5, 1e3, 1234567890, 99999999999999999999, "+0", " 0", "0x0", null, {}]')$$,
  $$values ('stale')$$,
  'nor is anything else than a whole number an index');
select results_eq(
  $$select pg_temp.outcomes('lease_token', '["", "token", -1, 0.5, 1e300, 99999999999999999999, true, null, {}, []]')$$,
  $$values ('stale')$$,
  'nor is what no claim has given out a token');
select is(
  quantumflow.complete_task(
    'abcdef00-0000-0000-0000-00000000000a', 'a', 0, '1',
    (select t.lease_token from quantumflow.step_tasks t)),
  'completed',
  'and the task is as it was');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
