begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "retry_delay": 0, "on_complete": "c", "on_failure": "f", "steps": [{"name": "a"}, {"name": "b"}, {"name": "z", "dependencies": ["a", "b"]}]}');
select quantumflow.start_flow('w', run_id => format('10000000-0000-0000-0000-00000000000%s', i)::uuid) from generate_series(1, 3) i;
create temporary table claims on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 9, lease => '10 s');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', s, output => '1') from (values ('a'), ('b'), ('z')) t (s);
select quantumflow.fail_task('10000000-0000-0000-0000-000000000002', 'a', retryable => false);
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000003');
-- The callbacks end, too.
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', '_on_complete');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000002', '_on_failure', retryable => false);

create temporary table runs on commit drop as table quantumflow.workflow_runs;
create temporary table steps on commit drop as table quantumflow.step_states;
create temporary table tasks on commit drop as table quantumflow.step_tasks;
create temporary table failures on commit drop as table quantumflow.task_failures;
set local quantumflow.now = '2030-01-01 12:00:00+00';

-- Everything that anybody might still call.
select count(*) from claims c cross join lateral quantumflow.complete_tasks(jsonb_build_array(to_jsonb(c) || '{"output": 2}')) o;
select count(*) from claims c cross join lateral quantumflow.fail_tasks(jsonb_build_array(to_jsonb(c))) o;
select count(*) from tasks t cross join lateral quantumflow.complete_tasks(jsonb_build_array(to_jsonb(t) || '{"output": 2, "lease_token": null}')) o;
select count(*) from tasks t cross join lateral quantumflow.fail_tasks(jsonb_build_array(to_jsonb(t) || '{"retryable": false, "lease_token": null}')) o;
select quantumflow.complete_task(t.run_id, t.step_slug, t.task_index, '2') from tasks t;
select quantumflow.fail_task(t.run_id, t.step_slug, t.task_index, retryable => false) from tasks t;
select quantumflow.release_tasks((select jsonb_agg(to_jsonb(c)) from claims c));
select quantumflow.release_tasks((select jsonb_agg(to_jsonb(t) || '{"lease_token": null}') from tasks t));
select count(*) from quantumflow.extend_leases(gen_random_uuid(), (select jsonb_agg(to_jsonb(c)) from claims c), '1 min');
select quantumflow.start_ready_steps(id) from runs;
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000003', 'again');
select * from quantumflow.sweep();
select is_empty('select from quantumflow.claim_tasks(gen_random_uuid(), 9)', 'there is nothing to claim');

select set_eq('table quantumflow.workflow_runs', 'table runs', 'runs are as they were');
select set_eq('table quantumflow.step_states', 'table steps', 'steps');
select set_eq('table quantumflow.step_tasks', 'table tasks', 'tasks');
select set_eq('table quantumflow.task_failures', 'table failures', 'failures');
select is_empty('select from pgmq.q_quantum_flow_queue', 'no message came back');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
