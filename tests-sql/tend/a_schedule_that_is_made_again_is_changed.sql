begin;
select plan(20);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.define_flow('{"slug": "v", "steps": [{"name": "a"}]}');
select quantumflow.create_flow('empty');

select throws_ok(
  format(
    'select quantumflow.schedule_flow(%L, %L, %L, overlap => %L, catch_up => %L, jitter => %L, priority => %L)', c.slug, c.flow, '@daily',
    c.overlap, c.catch_up, c.jitter, c.priority),
  c.code, c.message, 'refused: ' || c.message)
from (values
  ('1s', 'w', 'skip', '1', '0', '0', 'QF220', 'schedule_slug is "1s", which is none'),
  ('a b', 'w', 'skip', '1', '0', '0', 'QF220', 'schedule_slug is "a b", which is none'),
  (null, 'w', 'skip', '1', '0', '0', 'QF220', 'schedule_slug is null, which is none'),
  ('s', 'w', 'never', '1', '0', '0', 'QF220', 'overlap is "never", which is none'),
  ('s', 'w', null, '1', '0', '0', 'QF220', 'overlap is null, which is none'),
  ('s', 'w', 'skip', '0', '0', '0', 'QF220', 'catch_up is 0, which is none'),
  ('s', 'w', 'skip', '101', '0', '0', 'QF220', 'catch_up is 101, which is none'),
  ('s', 'w', 'skip', '1', '-1 s', '0', 'QF220', 'jitter is "-00:00:01", which is none'),
  ('s', 'w', 'skip', '1', '1 month', '0', 'QF220', 'jitter is "1 mon", which is none'),
  ('s', 'w', 'skip', '1', '0', '-1', 'QF205', 'priority must not be negative'),
  ('s', 'x', 'skip', '1', '0', '0', 'QF111', 'workflow "x" does not exist'),
  ('s', null, 'skip', '1', '0', '0', 'QF111', null),
  ('s', 'empty', 'skip', '1', '0', '0', 'QF203', 'workflow "empty" has no steps')
) c (slug, flow, overlap, catch_up, jitter, priority, code, message);
select is_empty('table quantumflow.schedules', 'nothing is left of it');

select quantumflow.schedule_flow('s', 'w', '0 12 * * *', input => null);
set local quantumflow.now = '2030-01-01 12:00:01+00';
select quantumflow.schedule_flow('s', 'w', '0 12 * * *');
select is(
  (select count(*) from quantumflow.audit_log where what = 'schedule_flow'), 1::bigint, 'to make it again as it is does nothing');
select results_eq(
  $$select workflow_slug, priority, due_at from quantumflow.schedule_flow('s', 'v', '0 12 * * *', priority => 3)$$,
  $$values ('v' collate "C", 3, '2030-01-01 12:00+00'::timestamptz)$$, 'what is changed leaves a time that has come');
select is((select tasks from quantumflow.sweep() where action = 'schedules'), 1, 'so it starts');
select results_eq(
  $$select due_at, last_at from quantumflow.schedule_flow('s', 'v', '0 13 * * *')$$,
  $$values ('2030-01-01 13:00+00'::timestamptz, '2030-01-01 12:00+00'::timestamptz)$$, 'other times are times from now on');
select quantumflow.pause_schedule('s');
select is((quantumflow.schedule_flow('s', 'v', '0 14 * * *')).next_at, null, 'what is paused stays so');
select is(
  (select next_at from quantumflow.resume_schedule('s')), '2030-01-01 14:00+00'::timestamptz, 'until it is resumed, with its new times');

select * from finish();
rollback;
