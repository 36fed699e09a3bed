begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-03-01 10:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
set local quantumflow.now = '2030-03-01 14:00:00+00';
create temporary table run on commit drop as select quantumflow.start_flow('w') as id;
set local quantumflow.actor = 'ann';
set local quantumflow.now = '2030-03-01 14:03:00+00';
select (quantumflow.pause_run(id, 'too early')).status from run;
set local quantumflow.now = '2030-03-01 14:04:00+00';
select (quantumflow.resume_run(id)).status from run;
select quantumflow.fail_task(id, 'a', error_message => 'no', retryable => false) from run;
set local quantumflow.now = '2030-03-01 15:00:00+00';

select results_eq(
  $$select at, what, who = session_user || ' for ann', detail from quantumflow.history('2030-03-01 14:03:00+00', '2030-03-01 14:04:00+00')$$,
  $$values ('2030-03-01 14:03:00+00'::timestamptz, 'pause_run', true, 'too early')$$,
  'what happened at 14:03');
select results_eq(
  $$select distinct what from quantumflow.history('2030-03-01 14:00:00+00') order by 1$$,
  $$values ('attempt failed'), ('fail_task'), ('pause_run'), ('resume_run'), ('run failed'), ('run started')$$,
  'and since 14:00');
select ok(
  (select bool_and(run_id = (select id from run) and workflow_slug = 'w') from quantumflow.history('2030-03-01 14:00:00+00')), 'of which run');
select is_empty($$select * from quantumflow.history('2030-03-01 14:30:00+00')$$, 'nothing since half past two');
select ok(
  (select array_agg(what order by at) @> '{run started,step started,pause_run,resume_run,attempt failed,run failed}'
   from quantumflow.history(null, null, (select id from run))),
  'all of a run''s past');
select quantumflow.delete_run(id, 'gone') from run;
select results_eq(
  $$select what from quantumflow.history(null, run_id => (select id from run)) order by at desc limit 1$$, $$values ('delete_run')$$, 'also when it is gone');
select throws_ok($$select quantumflow.history(null, run_id => '10000000-0000-0000-0000-000000000009')$$, 'QF201', null, 'a run of which nothing is known');
select throws_ok($$select quantumflow.history(null)$$, 'QF224', null, 'no since');

select * from finish();
rollback;
