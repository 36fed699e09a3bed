begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "check"},
  {"name": "large", "dependencies": ["check"], "if": "$.check.amount > 5"},
  {"name": "larger", "dependencies": ["large"]},
  {"name": "small", "dependencies": ["check"], "if": "!($.check.amount > 5)"},
  {"name": "join", "dependencies": ["larger", "small"], "join": "any"},
  {"name": "report", "dependencies": ["join"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'check', output => '{"amount": 1}');

select results_eq(
  $$select step_slug, status, skip_reason, remaining_deps, skipped_at from quantumflow.step_states order by 1$$,
  $$values
    ('check' collate "C", 'completed', null, 0, null::timestamptz), ('join', 'created', null, 1, null),
    ('large', 'skipped', 'condition', 0, '2030-01-01 00:00:00+00'), ('larger', 'skipped', 'dependency', 0, '2030-01-01 00:00:00+00'),
    ('report', 'created', null, 1, null), ('small', 'started', null, 0, null)$$,
  'what is plain by itself, but stands behind a skipped step, is skipped in the same call');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'small', output => '"s"');
select results_eq(
  'select step_slug, input from quantumflow.claim_tasks(gen_random_uuid())',
  $$values ('join', '{"run": {}, "small": "s"}'::jsonb)$$,
  'the join runs, and what was skipped is absent from its input');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'join', output => '"j"');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'report', output => '"r"');
select results_eq(
  'select status, output, remaining_steps, gave_up from quantumflow.workflow_runs',
  $$values ('completed', '{"report": "r"}'::jsonb, 0, null::int)$$,
  'and the run ends');
select is_empty($$select from quantumflow.step_tasks where step_slug in ('large', 'larger')$$, 'without a task of what was skipped');
select is((quantumflow.status('10000000-0000-0000-0000-000000000001') #>> '{steps,1,skip_reason}'), 'condition', 'status says why');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
