begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select setseed(0.42);
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "m", "type": "map"}, {"name": "n", "type": "map", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', (select jsonb_agg(i) from generate_series(0, 299) i), run_id => '10000000-0000-0000-0000-000000000001');

select results_eq(
  $$select count(*)::int from quantumflow.complete_tasks((
      select jsonb_agg(to_jsonb(c) || jsonb_build_object('output', case when task_index % 7 > 0 then c.input -> 'item' end) order by random())
      from quantumflow.claim_tasks(gen_random_uuid(), 1000) c)) o where o.outcome = 'completed'$$,
  'values (300)', 'reported in a random order');
select is(
  (select output from quantumflow.step_states where step_slug = 'm'),
  (select jsonb_agg(case when i % 7 > 0 then i end order by i) from generate_series(0, 299) i),
  'the array is in index order, nulls in their places');
select results_eq(
  'select task_index, item_value from quantumflow.step_tasks where step_slug = ''n'' order by 1',
  $$select i, case when i % 7 > 0 then to_jsonb(i) else 'null' end from generate_series(0, 299) i$$,
  'and so are the items of the next map');
select count(*) from quantumflow.complete_tasks((
  select jsonb_agg(to_jsonb(c) || jsonb_build_object('output', task_index) order by random())
  from quantumflow.claim_tasks(gen_random_uuid(), 1000) c));
select is(
  (select output -> 'n' from quantumflow.workflow_runs), (select jsonb_agg(i order by i) from generate_series(0, 299) i),
  'and the run''s output');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
