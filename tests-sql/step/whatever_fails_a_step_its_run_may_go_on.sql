begin;
select plan(10);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.create_flow('w', queue => 'work', max_attempts => 1, max_lost => 1, timeout => '10 s');
select quantumflow.add_step('w', s, options => '{"on_error": "continue"}')
from unnest('{errors,by_hand,lost,late,large,cond}'::text[]) s;
select quantumflow.add_step('w', 'objects', options => '{"fallback": []}');
select quantumflow.add_step('w', 'mapped', '{objects}', 'map');
select quantumflow.add_step('w', 'elsewhere', '{by_hand}', queue => 'gone', options => '{"on_error": "continue", "join": "none"}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.configure('max_output_bytes', '1000');
create temporary table got as select * from quantumflow.claim_tasks(gen_random_uuid(), 10, '{work}', lease => '5 s', commands => '{lost,errors,large}');
create temporary table kept as select * from quantumflow.claim_tasks(gen_random_uuid(), 10, '{work}', lease => '50 s', commands => '{late}');

select is(reason, 'step_continues', 'an error') from quantumflow.fail_tasks((select jsonb_agg(to_jsonb(g)) from got g where step_slug = 'errors'));
select results_eq(
  $$select outcome, reason from quantumflow.complete_tasks((select jsonb_agg(to_jsonb(g) || jsonb_build_object('output', repeat('x', 2000))) from got g where step_slug = 'large'))$$,
  $$values ('failed', 'step_continues')$$, 'an output that is too large');
select drop_queue from pgmq.drop_queue('gone');
select is(quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'by_hand'), 'failed', 'by hand');
select is(quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'objects', output => '{}'), 'type_violation', 'an output that is no array');
set local quantumflow.now = '2030-01-01 00:00:11+00';
select results_eq('select * from quantumflow.sweep()', $$values ('lapsed leases', 2), ('unfinished ends', 0), ('schedules', 0)$$, 'a loss and a timeout, found by a sweep');
select results_eq(
  $$select step_slug, status from quantumflow.step_states order by 1$$,
  $$values
    ('by_hand' collate "C", 'failed'), ('cond', 'started'), ('elsewhere', 'failed'), ('errors', 'failed'), ('large', 'failed'), ('late', 'failed'),
    ('lost', 'failed'), ('mapped', 'completed'), ('objects', 'completed')$$,
  'a queue that is gone too');
select results_eq(
  'select step_slug, kind from quantumflow.task_failures order by 1',
  $$values ('by_hand' collate "C", 'error'), ('errors', 'error'), ('large', 'error'), ('late', 'timeout'), ('lost', 'lost'), ('objects', 'error')$$,
  'each by its kind');
select is((select gave_up from quantumflow.workflow_runs), 7, 'all are counted');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'cond');
select is((select status from quantumflow.workflow_runs), 'completed', 'and the run ends');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
