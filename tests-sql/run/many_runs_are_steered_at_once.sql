begin;
select plan(16);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "steps": [{"name": "a"}]}');
select quantumflow.define_flow('{"slug": "v", "steps": [{"name": "b"}]}');
select quantumflow.start_flows('w', '{1,2,3}');
select quantumflow.start_flows('v', '{1,2}');
select quantumflow.fail_task(run_id, 'a', 0, 'HTTP 503')
from (select run_id from quantumflow.list_runs('w') order by run_id limit 2) r;

select results_eq(
  $$select workflow_slug, status, what, error_message, count(*) from quantumflow.retry_runs('{"workflow_slug": "w", "error": "503"}') group by 1, 2, 3, 4$$,
  $$values ('w', 'failed', 'to be retried', 'step a: HTTP 503', 2::bigint)$$,
  'a dry run says what would be done');
select is((select count(*) from quantumflow.workflow_runs where status = 'failed'), 2::bigint, 'and does nothing');
select is(
  (select count(*) from quantumflow.retry_runs('{"workflow_slug": "w", "error": "503"}', 1, false, 'it answers again')), 1::bigint,
  'no more than is asked for');
select results_eq(
  $$select status, what from quantumflow.retry_runs('{"workflow_slug": "w", "error": "503"}', 1000, false, 'it answers again')$$,
  $$values ('started', 'retried')$$,
  'the rest');
select is_empty($$select * from quantumflow.retry_runs('{"workflow_slug": "w"}', dry_run => false)$$, 'then there is none');

select is((select count(*) from quantumflow.pause_runs('{"workflow_slug": "w"}', dry_run => false)), 3::bigint, 'paused');
select is_empty($$select from quantumflow.claim_tasks(gen_random_uuid(), 10, commands => '{a}')$$, 'all of it');
select is((select count(*) from quantumflow.resume_runs('{"workflow_slug": "w", "status": "paused"}', dry_run => false)), 3::bigint, 'resumed');
select is_empty($$select * from quantumflow.resume_runs('{"workflow_slug": "w", "status": "failed"}', dry_run => false)$$, 'none of another status');

select results_eq(
  $$select workflow_slug, status, what, count(*) from quantumflow.cancel_runs('{"all": true}', 1000, false, 'enough') group by 1, 2, 3 order by 1$$,
  $$values ('v', 'cancelled', 'cancelled', 2::bigint), ('w', 'cancelled', 'cancelled', 3)$$,
  'all of them');
select results_eq(
  'select error_message, count(*) from quantumflow.workflow_runs group by 1', $$values ('enough', 5::bigint)$$, 'with the reason');

-- A run that is refused keeps nobody from the others.
update quantumflow.workflow_steps set queue = 'gone' where workflow_slug = 'v';
select results_eq(
  $$select workflow_slug, status, what, count(*) from quantumflow.retry_runs('{"all": true}', dry_run => false) group by 1, 2, 3 order by 1$$,
  $$values ('v', 'cancelled', 'not retried: queue "gone" does not exist (QF401)', 2::bigint), ('w', 'started', 'retried', 3)$$,
  'what cannot be is said');
select quantumflow.cancel_runs('{"all": true}', dry_run => false);
select is((select count(*) from quantumflow.delete_runs('{"ended_until": "2030-01-02", "since": "2029-01-01"}', dry_run => false, reason => 'tidy')), 5::bigint, 'deleted');
select is_empty('select from quantumflow.workflow_runs', 'none is left');
select results_eq(
  $$select what, count(*), count(reason) from quantumflow.audit_log where what ~ '_run$' group by what order by what$$,
  $$values
    ('cancel_run', 8::bigint, 5::bigint), ('delete_run', 5, 5), ('pause_run', 3, 0), ('resume_run', 3, 0), ('retry_run', 5, 2)$$,
  'each is written down');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
