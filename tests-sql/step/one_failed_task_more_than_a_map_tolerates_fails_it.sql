begin;
select plan(9);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow(jsonb_build_object('slug', f.slug, 'steps', jsonb_build_array(
  '{"name": "m", "type": "map", "tolerate": "34%", "max_attempts": 1}'::jsonb || f.more,
  '{"name": "behind", "dependencies": ["m"], "join": "none"}'::jsonb)))
from (values ('hard', '{}'::jsonb), ('soft', '{"on_error": "continue"}'), ('instead', '{"fallback": []}')) f (slug, more);
select quantumflow.start_flow('hard', '[1, 2, 3]', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('soft', '[1, 2, 3]', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.start_flow('instead', '[1, 2, 3]', run_id => '10000000-0000-0000-0000-000000000003');
create temporary table got as select * from quantumflow.claim_tasks(gen_random_uuid(), 9);
select quantumflow.fail_task(('10000000-0000-0000-0000-00000000000' || n)::uuid, 'm', 1, 'first') from generate_series(1, 3) n;

select results_eq('select gave_up, status from quantumflow.workflow_runs', $$values (1, 'started'), (1, 'started'), (1, 'started')$$, 'a third of three is one');
select quantumflow.fail_task(('10000000-0000-0000-0000-00000000000' || n)::uuid, 'm', 2, 'second') from generate_series(1, 3) n;

select results_eq(
  $$select r.workflow_slug, r.status, r.gave_up, s.status, s.output, s.error_message
    from quantumflow.workflow_runs r join quantumflow.step_states s on s.run_id = r.id and step_slug = 'm' order by r.id$$,
  $$values
    ('hard' collate "C", 'failed', 1, 'failed', null::jsonb, 'second'), ('soft', 'started', 1, 'failed', null, 'second'),
    ('instead', 'started', 1, 'completed', '[]', 'second')$$,
  'then on_error and fallback decide, and a step counts once, whatever became of its tasks');
select results_eq(
  'select distinct task_index, status from quantumflow.step_tasks where step_slug = ''m'' order by 1',
  $$values (0, 'cancelled'), (1, 'failed'), (2, 'failed')$$,
  'what was left of its tasks is cancelled');
select results_eq(
  $$select workflow_slug, outcome, reason from quantumflow.complete_tasks((select jsonb_agg(to_jsonb(g) || '{"output": 1}' order by run_id) from got g where task_index = 0)) o
    join quantumflow.workflow_runs r on r.id = o.run_id order by r.id$$,
  $$values ('hard' collate "C", 'run_ended', 'run_failed'), ('soft', 'run_ended', 'task_cancelled'), ('instead', 'run_ended', 'task_cancelled')$$,
  'a report of one comes too late');
select results_eq(
  'select step_slug, input from quantumflow.claim_tasks(gen_random_uuid(), 10) order by run_id',
  $$values ('behind', '{"run": [1, 2, 3]}'::jsonb), ('behind', '{"run": [1, 2, 3], "m": []}')$$,
  'what waits goes on');
select is((select count(*) from quantumflow.failed_items('10000000-0000-0000-0000-000000000003', 'm')), 2::bigint, 'failed_items tells what did it');
select quantumflow.complete_task(('10000000-0000-0000-0000-00000000000' || n)::uuid, 'behind') from generate_series(2, 3) n;
select results_eq('select distinct status, gave_up from quantumflow.workflow_runs order by 1', $$values ('completed', 1), ('failed', 1)$$, 'and the runs end');
select is_empty('select from pgmq.q_quantum_flow_queue', 'no message is left');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
