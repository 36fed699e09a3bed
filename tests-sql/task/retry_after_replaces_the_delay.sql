begin;
select plan(10);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "retry_delay": 10, "max_attempts": 100, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create function pg_temp.fail(p_retry_after jsonb) returns text language plpgsql as $fail$
begin
  perform set_config('quantumflow.now', (select t.queued_at::text from quantumflow.step_tasks t), true);
  return (
    select string_agg(o.outcome, ' ')
    from quantumflow.fail_tasks((
      select jsonb_agg(to_jsonb(c) || jsonb_build_object('retry_after', p_retry_after)) from quantumflow.claim_tasks(gen_random_uuid()) c)) o);
end
$fail$;
create temporary view vts as select extract(epoch from q.vt - quantumflow._now())::numeric(20, 3) as s from pgmq.q_quantum_flow_queue q;

select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'a', retry_after => '7.5 s');
select is((select s from vts), 7.5, 'exactly, with no chance in it');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'a', retry_after => '0 s');
select is((select s from vts), 0.0, 'also none');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'a', retry_after => '-5 s');
select is((select s from vts), 0.0, 'a negative one is none');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'a', retry_after => '90 days');
select is((select s from vts), 7776000.0, 'longer than the cap of the step''s own delay');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'a', retry_after => '100 years');
select is((select s from vts), 31536000.0, 'but a year at most');
select pg_temp.fail('1e400');
select is((select s from vts), 31536000.0, 'however large the number');
select pg_temp.fail('0.25');
select is((select s from vts), 0.25, 'in seconds');
select pg_temp.fail('"soon"');
select ok((select s from vts) between 1280 and 1600, 'what is no number is as if it were not there');
select is((select attempts - losses from quantumflow.step_tasks), 8, 'each counts as a failure');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
