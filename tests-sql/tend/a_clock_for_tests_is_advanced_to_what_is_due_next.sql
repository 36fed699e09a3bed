begin;
select plan(12);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';

select is(quantumflow.advance_clock(until_due => true), null, 'where nothing will be due no time passes');
select is(quantumflow._now(), '2030-01-01 00:00:00+00', 'and a clock that stands stands where it stood');

select quantumflow.define_flow('{"slug": "f", "steps": [
  {"name": "a"},
  {"name": "s", "type": "sleep", "seconds": 3600},
  {"name": "w", "type": "wait", "timeout": 7200},
  {"name": "for_ever", "type": "wait"}]}');
select quantumflow.schedule_flow('nightly', 'f', '30 2 * * *');
select quantumflow.start_flow('f');
select quantumflow.start_flow('f', start_at => '2030-01-01 01:30:00+00');

select is(quantumflow.advance_clock('0'), '2030-01-01 00:00:00+00', 'no time is passed by none: it is told');
select is(quantumflow.advance_clock('10 min', until_due => true), '2030-01-01 00:10:00+00', 'no further than by ahead');
select is(quantumflow.advance_clock(until_due => true), '2030-01-01 01:00:00+00', 'or until the sleep is over');
select is((quantumflow.settle()).settled, 1, 'which is settled then');
select is(
  quantumflow.advance_clock('1 day', until_due => true), '2030-01-01 01:30:00+00', 'then a run that starts later');
select is(
  quantumflow.advance_clock(until_due => true, queues => '{quantum_flow_system}'), '2030-01-01 02:00:00+00',
  'of some queues only what is due in these');
select is(quantumflow.advance_clock(until_due => true), '2030-01-01 02:30:00+00', 'and a schedule');
select is(
  quantumflow.advance_clock(until_due => true, queues => '{quantum_flow_queue}'), null, 'which is none of a queue''s');
select is(quantumflow.advance_clock('1 month'), '2030-01-31 02:30:00+00', 'ahead by an interval, in seconds alone');

set local quantumflow.now = '';
select quantumflow.advance_clock('1 hour');
select ok(
  quantumflow._now() between clock_timestamp() + '59 min' and clock_timestamp() + '1 hour',
  'where none is set the session''s clock goes on, ahead of the time');

select * from finish();
rollback;
