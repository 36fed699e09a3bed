begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "b", "dependencies": ["a"]}, {"name": "c", "dependencies": ["a"]}]}');
select quantumflow.define_flow('{"slug": "other", "steps": [{"name": "x"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temp table claimed as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001');
select quantumflow.start_flows('other', array_fill('{}'::jsonb, array[3]));

select results_eq(
  $$select outcome, step_slug
  from quantumflow.complete_and_claim(
    '20000000-0000-0000-0000-000000000001', (select jsonb_agg(to_jsonb(c)) from claimed c), quantity => 4) order by 1, 2$$,
  $$values ('completed', 'a'), (null, 'b'), (null, 'c'), (null, 'x'), (null, 'x')$$,
  'two are handed over, two are claimed');
select is((select count(*) from quantumflow.step_tasks where status = 'queued'), 1::bigint, 'no more than it has room for');
select results_eq(
  $$select outcome, step_slug from quantumflow.complete_and_claim('20000000-0000-0000-0000-000000000002', '[]', quantity => 9)$$,
  $$values (null::text, 'x')$$,
  'without results it is a claim');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
