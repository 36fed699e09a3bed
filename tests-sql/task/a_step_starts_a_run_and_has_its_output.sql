begin;
select plan(16);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "payment", "steps": [{"name": "pay"}]}');
select quantumflow.define_flow('{"slug": "order", "steps": [
  {"name": "check"},
  {"name": "paid", "type": "flow", "flow": "payment", "dependencies": ["check"],
   "input": {"total": "$.check.total", "by": ["$.run.who", "$$1"], "n": 1}, "output": "$.pay.receipt"},
  {"name": "z", "dependencies": ["paid"]}]}');
select quantumflow.start_flow(
  'order', '{"who": "ann"}', run_id => '10000000-0000-0000-0000-000000000001', priority => 7, headers => '{"trace": "t"}');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'check', 0, '{"total": 12}');

select is_empty('select from quantumflow.claim_tasks(gen_random_uuid())', 'no worker is given it');
select results_eq('select settled from quantumflow.settle()', 'values (1)', 'settle starts a run');
select results_eq(
  $$select workflow_slug, version, status, input, priority, headers, parent_run_id, parent_step_slug, parent_task_index, parent_retries,
    root_run_id, depth from quantumflow.workflow_runs where parent_run_id is not null$$,
  $$values ('payment' collate "C", 1, 'started', '{"total": 12, "by": ["ann", "$1"], "n": 1}'::jsonb, 7, '{"trace": "t"}'::jsonb,
    '10000000-0000-0000-0000-000000000001'::uuid, 'paid' collate "C", 0, 0, '10000000-0000-0000-0000-000000000001'::uuid, 1)$$,
  'of what the step says, which names its parent and has its priority and headers');
select results_eq(
  $$select t.status, t.attempts, t.worker_id, t.lease_token is not null, q.vt from quantumflow.step_tasks t
    join pgmq.q_quantum_flow_system q on q.msg_id = t.message_id and t.queue = 'quantum_flow_system'$$,
  $$values ('started', 1, null::uuid, true, 'infinity'::timestamptz)$$, 'the task waits for it, and nobody has a lease');
select results_eq('select settled from quantumflow.settle()', 'values (0)', 'nothing is due');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken while it waits');
select results_eq(
  $$select reason, detail ~ '^run [0-9a-f-]+ of payment$' from quantumflow.why('10000000-0000-0000-0000-000000000001') where step_slug = 'paid'$$,
  $$values ('waits for a child', true)$$, 'why() tells');
select results_eq(
  $$select s ->> 'child_flow', s ->> 'child' = (select id::text from quantumflow.workflow_runs where parent_run_id is not null)
    from jsonb_array_elements(quantumflow.status('10000000-0000-0000-0000-000000000001') -> 'steps') s where s ->> 'step_slug' = 'paid'$$,
  $$values ('payment', true)$$, 'and status()');
select results_eq(
  'select workflow_slug, parent from quantumflow.list_runs()', $$values ('order', null::uuid)$$, 'list_runs shows who has no parent');
select results_eq(
  $$select workflow_slug, parent from quantumflow.list_runs(parent => '10000000-0000-0000-0000-000000000001')$$,
  $$values ('payment', '10000000-0000-0000-0000-000000000001'::uuid)$$, 'and who has, when asked');
select results_eq('select count(*) from quantumflow.list_runs(with_children => true)', 'values (2::bigint)', 'or all');

create temporary table got as
select * from quantumflow.claim_tasks(worker_id => '00000000-0000-0000-0000-00000000000a');
select results_eq(
  $$select outcome, step_slug, input from quantumflow.complete_and_claim(
    '00000000-0000-0000-0000-00000000000a', (select jsonb_agg(to_jsonb(g) || '{"output": {"receipt": "r1"}}') from got g))$$,
  $$values ('completed', 'pay', null::jsonb), (null, 'z', '{"run": {"who": "ann"}, "paid": "r1"}'::jsonb)$$,
  'its end lets the parent go on in the same call');
select results_eq(
  $$select status, attempts, output from quantumflow.step_tasks where step_slug = 'paid'$$, $$values ('completed', 1, '"r1"'::jsonb)$$,
  'with the output that the step makes of the run''s');
select is_empty('select from pgmq.q_quantum_flow_system', 'no message is left');
select is_empty('select from quantumflow._tree_work', 'nor a note');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
