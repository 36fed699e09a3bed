begin;
select plan(11);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "queue": "one", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');
select quantumflow.define_flow('{"slug": "v", "queue": "two", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w');
create temporary table got as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001', 1, '{one}');

select is(quantumflow.pause_queue('one', 'the disk is full'), '2030-01-01 00:00:00+00', 'it says since when');
select quantumflow.start_flow('w');
select quantumflow.start_flow('v');

select results_eq(
  $$select workflow_slug from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001', 10, '{one,two}')$$,
  $$values ('v')$$,
  'nothing of it is handed out, and of the other queue all');
select results_eq(
  $$select outcome, step_slug from quantumflow.complete_and_claim(
    '20000000-0000-0000-0000-000000000001', (select jsonb_agg(to_jsonb(g) || '{"output": 1}') from got g), 1, '{one}')$$,
  $$values ('completed', 'a')$$,
  'a report is recorded, and what it leads to is not handed over');
select results_eq(
  'select count(*) from pgmq.q_one where vt <= ''2030-01-01 00:00:00+00''', array[2::bigint], 'all of it waits at its place');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select results_eq(
  'select queue, command, due, paused_at is null from quantumflow.list_queues() order by 1, 2',
  $$values ('one', 'a', 1::bigint, false), ('one', 'b', 1, false), ('two', 'a', 0, true)$$,
  'list_queues says so');

set local quantumflow.now = '2030-01-02 00:00:00+00';
select is(quantumflow.pause_queue('one', 'again'), '2030-01-01 00:00:00+00', 'to pause it again changes nothing');
select results_eq(
  'select kind, name, paused_by = current_user, reason, waiting from quantumflow.list_pauses()',
  $$values ('queue', 'one', true, 'the disk is full', 2::bigint)$$,
  'it is known who paused it, why, and what waits');
select is(quantumflow.resume_queue('one'), 2::bigint, 'the resume says how much is due');
select is(quantumflow.resume_queue('one'), 0::bigint, 'to resume it again changes nothing');
select results_eq(
  $$select step_slug from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001', 10, '{one}')$$,
  $$values ('a'), ('b')$$,
  'and all of it is handed out');

select * from finish();
rollback;
