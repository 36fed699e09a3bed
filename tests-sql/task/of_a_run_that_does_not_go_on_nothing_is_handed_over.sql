begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "b", "dependencies": ["a"]}, {"name": "l"}, {"name": "m", "type": "map", "dependencies": ["l"]}]}');
select quantumflow.start_flow('w', run_id => format('10000000-0000-0000-0000-00000000000%s', n)::uuid) from generate_series(1, 3) n;
create temp table claimed as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001', 9);
select quantumflow.pause_run('10000000-0000-0000-0000-000000000001');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000002');
create function pg_temp.answers(n int) returns setof text language sql as $$
  select concat_ws(' ', x.outcome, x.step_slug)
  from quantumflow.complete_and_claim(
    '20000000-0000-0000-0000-000000000001',
    (select jsonb_agg(to_jsonb(c) || '{"output": 1}') from claimed c where right(c.run_id::text, 1) = n::text and (n = 3 or c.step_slug = 'a')),
    9) x
  order by x.step_slug, x.outcome
$$;

select results_eq('select pg_temp.answers(1)', $$values ('completed a')$$, 'paused: it is recorded, and that is all');
select is(
  (select status from quantumflow.step_states where step_slug = 'b' and right(run_id::text, 1) = '1'), 'created',
  'the next step has not started');
select results_eq('select pg_temp.answers(2)', $$values ('run_ended a')$$, 'cancelled: not even that');
select results_eq(
  'select pg_temp.answers(3)', $$values ('completed a'), ('type_violation l')$$,
  'failed by another result of the call: what had become ready is not handed out');
select results_eq(
  $$select status from quantumflow.step_tasks where step_slug = 'b'$$, $$values ('cancelled')$$, 'but cancelled with its run');
select is((select status from quantumflow.resume_run('10000000-0000-0000-0000-000000000001')), 'started', 'resumed');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
