begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "queue": "q", "steps": [{"name": "a"}, {"name": "b", "retry_delay": 5}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
set local quantumflow.now = '2030-01-01 00:01:20+00';

select is(quantumflow.left_work('{q,nowhere}'), null, 'what can be claimed was not left');
create temporary table got as select * from quantumflow.claim_tasks(gen_random_uuid(), 2, queues => '{q}');
select is(quantumflow.left_work('{q}'), null, 'nor is what somebody works on');
select quantumflow.release_tasks((select jsonb_agg(to_jsonb(g) || '{"reason": "no"}') from got g where step_slug = 'a'));
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'b');

select is(quantumflow.left_work('{q}'), '2030-01-01 00:01:30+00'::timestamptz, 'what was left comes back after an eighth of its age');
select is(quantumflow.left_work('{q}', '{a,c}'), '2030-01-01 00:01:30+00'::timestamptz, 'for who has its command');
select is(quantumflow.left_work('{q}', '{b,c}'), null, 'a retry is not waited for');
select is(
  quantumflow.left_work('{q}', refused => '[{"workflow_slug": "w", "version": 1, "step_slug": "a"}]'), null, 'nor what one refused oneself');
select is(
  quantumflow.left_work('{q}', refused => '[{"workflow_slug": "w", "version": 2, "step_slug": "a"}, 5, {}]'),
  '2030-01-01 00:01:30+00'::timestamptz, 'of another version one has not');
select throws_ok($$select quantumflow.left_work('{q}', refused => '{}')$$, 'QF301');

select * from finish();
rollback;
