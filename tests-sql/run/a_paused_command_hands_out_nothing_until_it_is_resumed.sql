begin;
select plan(9);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "b", "command": "charge", "dependencies": ["a"]}, {"name": "c", "dependencies": ["a"]}]}');
select quantumflow.define_flow('{"slug": "v", "queue": "two", "steps": [{"name": "charge"}]}');
select quantumflow.start_flow('w');
select quantumflow.start_flow('v');
create temporary table got as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001');

select is(quantumflow.pause_command('charge', 'the bank is down'), '2030-01-01 00:00:00+00', 'it says since when');
select results_eq(
  $$select outcome, step_slug from quantumflow.complete_and_claim(
    '20000000-0000-0000-0000-000000000001', (select jsonb_agg(to_jsonb(g) || '{"output": 1}') from got g), 5)$$,
  $$values ('completed', 'a'), (null, 'c')$$,
  'of what a report leads to only the other is handed over');
select is_empty(
  $$select from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001', 10, '{quantum_flow_queue,two}')$$,
  'nothing of it is handed out to who takes all commands');
select is_empty(
  $$select from quantumflow.claim_tasks(
    '20000000-0000-0000-0000-000000000001', 10, '{quantum_flow_queue,two}', commands => '{charge,mail}')$$,
  'nor to who has the command');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select results_eq(
  $$select distinct reason, detail collate "default" from quantumflow.why() where command = 'charge'$$,
  $$select 'paused', format('command charge, by %s: the bank is down', current_user) collate "default"$$,
  'why says what is paused, by whom and why');

select is(quantumflow.resume_command('charge'), 2::bigint, 'the resume says how much is due, in all queues');
select is(quantumflow.resume_command('charge'), 0::bigint, 'to resume it again changes nothing');
select results_eq(
  $$select command, queue from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001', 10, '{quantum_flow_queue,two}')$$,
  $$values ('charge', 'quantum_flow_queue'), ('charge', 'two')$$,
  'and all of it is handed out');

select * from finish();
rollback;
