begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "timeout": 10, "retry_delay": 5, "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.start_flow('w', '[0, 1, 2, 3]', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 10);
set local quantumflow.now = '2030-01-01 00:00:08+00';

create function pg_temp.reported(task_index int, more jsonb) returns jsonb language sql as $$
  select jsonb_build_array(jsonb_build_object(
    'run_id', c.run_id, 'step_slug', c.step_slug, 'task_index', c.task_index, 'lease_token', c.lease_token) || more)
  from pg_temp.claimed c
  where c.task_index = reported.task_index
$$;

select results_eq(
  $$select outcome from quantumflow.complete_tasks(pg_temp.reported(0, '{"output": 1, "seconds": 1.25}'))$$,
  $$values ('completed')$$, 'the first says so');
select results_eq(
  $$select outcome from quantumflow.complete_tasks(pg_temp.reported(1, '{"output": 1, "seconds": 60}'))$$,
  $$values ('completed')$$, 'the second says more than there was');
select results_eq(
  $$select outcome from quantumflow.complete_tasks(pg_temp.reported(2, '{"output": 1}'))$$, $$values ('completed')$$, 'the third says nothing');
select results_eq(
  $$select outcome from quantumflow.fail_tasks(pg_temp.reported(3, '{"error_message": "no", "seconds": 2}'))$$,
  $$values ('retrying')$$, 'the fourth has failed');
select results_eq(
  'select task_index, started_at - ''2030-01-01 00:00:00+00'' from quantumflow.step_tasks order by 1',
  $$values (0, interval '6.75 s'), (1, '0'), (2, '0'), (3, '6 s')$$,
  'started_at is when the handler began, and never before the claim');
select results_eq(
  'select due_at, started_at, ended_at from quantumflow.task_failures',
  $$values ('2030-01-01 00:00:00+00'::timestamptz, '2030-01-01 00:00:06+00'::timestamptz, '2030-01-01 00:00:08+00'::timestamptz)$$,
  'of the attempt that failed it is told since when it could be claimed, too');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
