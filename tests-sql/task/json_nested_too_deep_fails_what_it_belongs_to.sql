begin;
select plan(7);

-- JSON that one session may store may be too deep to be part of an input or output in another, whose stack is smaller.
create temporary table deep on commit drop as select (repeat('[', 5000) || repeat(']', 5000))::jsonb as value;
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.define_flow('{"slug": "m", "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.start_flow('w', (select value from deep), run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.start_flow('m', '[1]', run_id => '20000000-0000-0000-0000-000000000001');

set local max_stack_depth = '200kB';

select results_eq(
  $$select run_id from quantumflow.claim_tasks(gen_random_uuid(), 10)$$,
  $$values ('10000000-0000-0000-0000-000000000002'::uuid), ('20000000-0000-0000-0000-000000000001')$$,
  'a claim hands out the others');
select results_eq(
  $$select status, error_message from quantumflow.step_tasks where run_id = '10000000-0000-0000-0000-000000000001'$$,
  $$values ('failed', 'its input exceeds what one jsonb value can hold (QF308)')$$, 'and the task fails');

-- As large as the outputs that others reported.
reset max_stack_depth;
create temporary table results on commit drop as
select jsonb_agg(jsonb_build_object(
  'run_id', t.run_id, 'step_slug', t.step_slug, 'task_index', 0, 'lease_token', t.lease_token, 'output', d.value)) as value
from quantumflow.step_tasks t
cross join deep d
where t.run_id <> '10000000-0000-0000-0000-000000000001';
set local max_stack_depth = '200kB';

select results_eq(
  'select outcome from quantumflow.complete_tasks((select value from results))',
  $$values ('completed'), ('completed')$$, 'reports are taken');
select is(
  (select error_message from quantumflow.workflow_runs where id = '10000000-0000-0000-0000-000000000002'),
  'the outputs of its leaf steps exceed what one jsonb value can hold (QF209)', 'a run fails of its output');
select is(
  (select error_message from quantumflow.workflow_runs where id = '20000000-0000-0000-0000-000000000001'),
  'step m: its outputs exceed what one jsonb array can hold (QF306)', 'a map of what it gathers');
select is((select count(*)::int from quantumflow.workflow_runs where status = 'failed'), 3, 'so each run has ended');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
