begin;
select plan(19);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "on_complete": "told", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');
select quantumflow.define_flow('{"slug": "v", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table got as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001');

select is(quantumflow.pause_flow('w', 'wrong prices'), '2030-01-01 00:00:00+00', 'it says since when');
select results_eq(
  $$select outcome, step_slug from quantumflow.complete_and_claim(
    '20000000-0000-0000-0000-000000000001', (select jsonb_agg(to_jsonb(g) || '{"output": 1}') from got g))$$,
  $$values ('completed', 'a')$$,
  'a report is recorded, and what it leads to is not handed over');

set local quantumflow.now = '2030-01-01 00:00:01+00';
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000003', priority => 10);
select quantumflow.start_flow('v', run_id => '10000000-0000-0000-0000-000000000004');
select results_eq(
  $$select workflow_slug from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001')$$,
  $$values ('v')$$,
  'what is behind it is handed out to a claim that looks for one');
select results_eq('select vt from pgmq.q_quantum_flow_queue where vt = ''infinity''', $$values ('infinity'::timestamptz), ('infinity'), ('infinity')$$, 'what a claim met is out of the way');
select results_eq(
  'select workflow_slug collate "default", queue, right(run_id::text, 1), step_slug collate "default" from quantumflow._parked order by queued_at, message_id',
  $$values
    ('w', 'quantum_flow_queue', '1', 'b'), ('w', 'quantum_flow_queue', '2', 'a'), ('w', 'quantum_flow_queue', '3', 'a')$$,
  'and noted');
select is_empty(
  $$select from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001', 10, commands => '{a,b}')$$, 'nothing of it is handed out');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select is_empty('select * from quantumflow.repair(false)', 'there is nothing to mend');
select results_eq(
  $$select step_slug, reason, since, detail collate "default" from quantumflow.why('10000000-0000-0000-0000-000000000001') where reason = 'paused'$$,
  $$select 'b', 'paused', '2030-01-01 00:00:00+00'::timestamptz, format('workflow w, by %s: wrong prices', current_user) collate "default"$$,
  'why says what is paused, by whom and why');

select quantumflow.pause_run('10000000-0000-0000-0000-000000000002');
select quantumflow.pause_run('10000000-0000-0000-0000-000000000003');
select quantumflow.resume_run('10000000-0000-0000-0000-000000000003');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken when a run is resumed');
select is_empty(
  $$select from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001', 10)$$, 'nor does that wake anything');

select is(quantumflow._bring_back('w', 1, '2030-01-01 00:00:02+00'), 1::bigint, 'what was queued first comes back first');
select results_eq(
  'select vt from pgmq.q_quantum_flow_queue order by vt limit 1', $$values ('2030-01-01 00:00:00+00'::timestamptz)$$, 'at its old place');

set local quantumflow.now = '2030-01-02 00:00:00+00';
select is(quantumflow.resume_flow('w', 'they are right now'), 1::bigint, 'a resume says how many came back');
select results_eq(
  'select step_slug, right(run_id::text, 1) from quantumflow.claim_tasks(gen_random_uuid(), 10)',
  $$values ('a', '3'), ('b', '1')$$,
  'these are handed out, from their old places, but of the paused run nothing');
select quantumflow.resume_run('10000000-0000-0000-0000-000000000002');
select results_eq(
  'select step_slug, right(run_id::text, 1) from quantumflow.claim_tasks(gen_random_uuid(), 10)', $$values ('a', '2')$$,
  'until that is resumed');
select is_empty('select * from quantumflow._parked', 'nothing is left');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select results_eq(
  $$select what, workflow_slug collate "default", reason from quantumflow.audit_log where what ~ '_flow$' and what <> 'define_flow' order by entry_id$$,
  $$values ('pause_flow', 'w', 'wrong prices'), ('resume_flow', 'w', 'they are right now')$$,
  'who did it is written down');

select * from finish();
rollback;
