begin;
select plan(12);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
create role on_call;
grant on_call to current_user;
select quantumflow.grant_access('on_call', 'operator');
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_tasks((
  select jsonb_agg(to_jsonb(c) || '{"output": 1}')
  from quantumflow.claim_tasks(gen_random_uuid()) c));
select results_eq(
  'select what, workflow_slug::text collate "default", detail from quantumflow.audit_log',
  $$values ('define_flow', 'w', '{"version": 1}'::jsonb)$$,
  'a definition, once; nothing of what callers and workers do');

set local role on_call;
set local quantumflow.actor = 'jo@example.com';
set local quantumflow.now = '2030-01-02 00:00:00+00';
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001', 'a', reason => 'the price was wrong');
select quantumflow.pause_run('10000000-0000-0000-0000-000000000001', 'wait');
select quantumflow.pause_run('10000000-0000-0000-0000-000000000001', 'again');
select quantumflow.resume_run('10000000-0000-0000-0000-000000000001', 'go');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'a', 0, 'no', retryable => false);
select quantumflow.delete_run('10000000-0000-0000-0000-000000000001', 'gone');
select quantumflow.configure('max_steps', '50');
select quantumflow.cancel_run(quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002'), 'enough');
reset role;

select results_eq(
  $$select what, right(run_id::text, 1), step_slug::text collate "default", reason from quantumflow.audit_log where actor = 'on_call' order by entry_id$$,
  $$values
    ('retry_run', '1', null::text, 'the price was wrong'),
    ('pause_run', '1', null, 'wait'),
    ('resume_run', '1', null, 'go'),
    ('fail_task', '1', 'a', null),
    ('delete_run', '1', null, 'gone'),
    ('configure', null, null, null),
    ('cancel_run', '2', null, 'enough')$$,
  'each act once, who and why; what changed nothing is none');
select is(
  (select array_agg(distinct on_behalf_of) from quantumflow.audit_log where actor = 'on_call'), '{jo@example.com}', 'for whom, as is claimed');
select results_eq(
  $$select detail ->> 'status', detail ->> 'from_step', (detail ->> 'ended_at')::timestamptz from quantumflow.audit_log where what = 'retry_run'$$,
  $$values ('completed', 'a', '2030-01-01 00:00:00+00'::timestamptz)$$, 'a retry keeps how the run had ended');
select is(
  (select detail ->> 'error_message' from quantumflow.audit_log where what = 'delete_run'), 'step a: no', 'so does a deletion');
select is(
  (select detail from quantumflow.audit_log where what = 'configure'), '{"setting": "max_steps", "before": "10000", "value": "50"}',
  'and a setting what it was');
select throws_ok(
  $$set local role on_call; delete from quantumflow.audit_log$$, '42501', null, 'an operator changes nothing of it');
reset role;

select quantumflow.prune('1 hour');
select is((select count(*)::int from quantumflow.audit_log where what in ('prune', 'cancel_run')), 1, 'a prune that finds nothing is none');
set local quantumflow.now = '2030-02-25 00:00:00+00';
select quantumflow.prune('14 days', reason => 'disk');
select results_eq(
  $$select what, at, reason from quantumflow.audit_log order by entry_id desc limit 1$$,
  $$values ('prune', '2030-02-25 00:00:00+00'::timestamptz, 'disk')$$, 'one that deletes runs is');
select is((select count(*)::int from quantumflow.audit_log where at < '2030-01-02 00:00:00+00'), 1, 'they are kept four times as long as runs');
set local quantumflow.now = '2030-02-27 12:00:00+00';
select quantumflow.prune('14 days');
select is((select count(*)::int from quantumflow.audit_log where at < '2030-01-02 00:00:00+00'), 0, 'and then forgotten');
select quantumflow.prune('0 s');
select isnt((select count(*)::int from quantumflow.audit_log), 0, 'but not before 30 days are over');

select * from finish();
rollback;
