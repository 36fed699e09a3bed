begin;
select plan(13);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.define_flow('{"slug": "v", "steps": [{"name": "a"}]}');
select quantumflow.define_flow('{"slug": "gone", "steps": [{"name": "a"}]}');
select quantumflow.schedule_flow('array', 'v', '@hourly');
select quantumflow.schedule_flow('broken', 'w', '@hourly');
select quantumflow.schedule_flow('good', 'w', '@hourly');
select quantumflow.schedule_flow('lonely', 'gone', '@hourly');
select quantumflow.schedule_flow('nowhere', 'w', '@hourly');
-- What no call of ours would do.
update quantumflow.schedules set cron = '@reboot' where schedule_slug = 'broken';
update quantumflow.schedules set time_zone = 'Europe/Atlantis' where schedule_slug = 'nowhere';
delete from quantumflow.workflow_steps where workflow_slug = 'gone';
delete from quantumflow.workflow_versions where workflow_slug = 'gone';
delete from quantumflow.workflows where workflow_slug = 'gone';
select quantumflow.define_flow('{"slug": "v", "steps": [{"name": "a", "type": "map"}]}');

set local quantumflow.now = '2030-01-01 01:00:00+00';
select is((select tasks from quantumflow.sweep() where action = 'schedules'), 1, 'the one that can starts');
select results_eq(
  'select schedule_slug, problem, next_at from quantumflow.list_schedules() order by 1',
  $$values
    ('array', 'workflow "v" maps over its input, which must be an array: Input 1 is JSON of type object. (QF204)', '2030-01-01 01:01+00'::timestamptz),
    ('broken', 'cron "@reboot" has not five fields: It has 1. (QF220)', '2030-01-01 01:01+00'),
    ('good', null, '2030-01-01 02:00+00'),
    ('lonely', 'workflow "gone" does not exist: No workflow of that name is defined; names are case-sensitive. (QF111)', '2030-01-01 01:01+00'),
    ('nowhere', 'time zone "Europe/Atlantis" not recognized (22023)', '2030-01-01 01:01+00')$$,
  'the others say why not');
select results_eq(
  $$select subject, state, fact from quantumflow.doctor() where subject like 'schedule %' limit 1$$,
  $$values ('schedule array', 'warning',
    'its run for 2030-01-01 01:00:00+00 could not start: workflow "v" maps over its input, which must be an array: Input 1 is JSON of type object. (QF204)')$$,
  'doctor says so, too');
select is((select count(*) from quantumflow.doctor() where subject like 'schedule %'), 4::bigint, 'of each');
select results_eq(
  'select rule, problem from quantumflow.check_state()',
  $$values (0, 'schedule "lonely" starts workflow "gone", which does not exist')$$, 'and check_state of the one that has no workflow');
select is((select tasks from quantumflow.sweep() where action = 'schedules'), 0, 'nothing is tried at once');

-- Each is tried again, and its time is not lost.
select quantumflow.define_flow('{"slug": "gone", "steps": [{"name": "b"}]}');
set local quantumflow.now = '2030-01-01 01:01:00+00';
select is((select tasks from quantumflow.sweep() where action = 'schedules'), 1, 'what has been set right starts');
select results_eq(
  $$select last_at, next_at, problem from quantumflow.list_schedules() where schedule_slug = 'lonely'$$,
  $$values ('2030-01-01 01:00+00'::timestamptz, '2030-01-01 02:00+00'::timestamptz, null)$$, 'late, for its time');

-- Scheduled anew: the time that was due is still to come.
set local quantumflow.now = '2030-01-01 01:30:00+00';
select results_eq(
  $$select due_at, next_at, problem from quantumflow.schedule_flow('array', 'v', '@hourly', input => '[1]')$$,
  $$values ('2030-01-01 01:00+00'::timestamptz, '2030-01-01 01:00+00'::timestamptz, null)$$, 'another input, the same time');
select is((select tasks from quantumflow.sweep() where action = 'schedules'), 1, 'which starts');
select is((select input from quantumflow.workflow_runs where workflow_slug = 'v'), '[1]', 'with that');
select is(
  (select detail -> 'before' ->> 'input' from quantumflow.audit_log where what = 'schedule_flow' order by entry_id desc limit 1), '{}',
  'what it was is written down');
select throws_ok(
  $$select quantumflow.schedule_flow('array', 'v', '@hourly')$$, 'QF204', null, 'an input that cannot be is refused at once');

select * from finish();
rollback;
