begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "list"}, {"name": "other"}, {"name": "each", "type": "map", "dependencies": ["list"]}, {"name": "end", "dependencies": ["other"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 10);

select results_eq(
  $$select right(run_id::text, 1), step_slug, outcome
    from quantumflow.complete_tasks((
      select jsonb_agg(to_jsonb(c) || case when right(run_id::text, 1) = '1' then '{"output": "x"}' else '{"output": ["y"]}' end::jsonb)
      from claimed c)) order by 1, 2$$,
  $$values ('1', 'list', 'type_violation'), ('1', 'other', 'completed'), ('2', 'list', 'completed'), ('2', 'other', 'completed')$$,
  'one call, two runs');
select results_eq(
  'select right(run_id::text, 1), step_slug, status from quantumflow.step_states order by 1, 2',
  $$values
    ('1', 'each' collate "C", 'cancelled'), ('1', 'end', 'cancelled'), ('1', 'list', 'failed'), ('1', 'other', 'completed'),
    ('2', 'each', 'started'), ('2', 'end', 'started'), ('2', 'list', 'completed'), ('2', 'other', 'completed')$$,
  'the one fails, what it had started in the same call included; the other goes on');
select results_eq(
  $$select right(message ->> 'workflow_run_id', 1), message ->> 'step_name' from pgmq.q_quantum_flow_queue order by 2$$,
  $$values ('2', 'each'), ('2', 'end')$$,
  'only its messages are there');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
