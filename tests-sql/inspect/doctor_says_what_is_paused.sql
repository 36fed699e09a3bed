begin;
select plan(2);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w');
set local quantumflow.actor = 'ann';
select quantumflow.pause_queue('quantum_flow_queue', 'month-end');

set local quantumflow.now = '2030-01-01 01:00:00+00';
select results_eq(
  $$select state, fact from quantumflow.doctor() where subject = 'queue quantum_flow_queue' and fact like 'it is paused%'
    or subject = 'command a'$$,
  $$values ('ok', 'it is paused since 2030-01-01 00:00:00+00, by ann: month-end')$$,
  'what is paused, by whom and why; and does not look for workers');

set local quantumflow.now = '2030-01-02 00:00:01+00';
select results_eq(
  $$select state, advice from quantumflow.doctor() where fact like 'it is paused%'$$,
  $$values ('warning', 'If that was forgotten: select quantumflow.resume_queue(''quantum_flow_queue'').')$$,
  'after a day it asks whether it was forgotten');

select * from finish();
rollback;
