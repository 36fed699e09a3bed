begin;
select plan(26);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "timeout": 100}, {"name": "b", "dependencies": ["a"], "retry_delay": 8}]}');

create function pg_temp.propose() returns quantumflow.policies language sql as $$
  select quantumflow._propose(
    'w', 'basic', true, '[{"step_slug": "a", "key": "timeout", "current": 100, "suggested": 50}, {"step_slug": "b", "key": "retry_delay", "current": 8, "suggested": 4}]',
    0.2, quantumflow._now());
$$;
-- Starts a pair of runs and completes them: the tuned one after so many seconds, the other one after 10. A status in place of seconds is what becomes of the tuned one.
create function pg_temp.pair(p_tuned double precision, p_status text default null) returns text language plpgsql as $$
declare
  v_run  record;
  v_time timestamptz := quantumflow._now();
begin
  perform quantumflow.start_flow('w');
  perform quantumflow.start_flow('w');
  for v_run in
    select r.id, r.version <> 1 as is_tuned from quantumflow.workflow_runs r where r.status = 'started'
  loop
    perform set_config('quantumflow.now', (v_time + make_interval(secs => case when v_run.is_tuned then p_tuned else 10 end))::text, true);
    if v_run.is_tuned and p_status = 'cancelled' then
      perform quantumflow.cancel_run(v_run.id);
    elsif v_run.is_tuned and p_status = 'failed' then
      perform quantumflow.fail_task(v_run.id, 'a', error_message => 'no', retryable => false);
    else
      perform quantumflow.complete_task(v_run.id, 'a');
      perform quantumflow.complete_task(v_run.id, 'b');
    end if;
  end loop;
  perform set_config('quantumflow.now', (v_time + interval '1 min')::text, true);
  return (select format('%s %s', a.state, a.pairs) from quantumflow.advance_trials() a);
end
$$;

select is((pg_temp.propose()).state, 'proposed', 'a policy is proposed');
-- Tossed alike each time.
update quantumflow.policies set secret = '00000000-0000-0000-0000-000000000001';
select results_eq(
  $$ select path, before, after from quantumflow.diff_flow('w', 1, 2) $$,
  $$ values ('steps.a.timeout', '100'::jsonb, '50'::jsonb), ('steps.b.retry_delay', '8', '4') $$, 'it is a version with other settings');
select is((select current_version from quantumflow.workflows), 1, 'which is not current');
select is((select frozen_at is not null and tuned_from = 1 from quantumflow.workflow_versions where version = 2), true, 'nor ever changed in place');
select is((select versions from quantumflow.list_flows()), 1, 'nor counted among the versions that people made');
select quantumflow.start_flow('w');
select is((select array_agg(version) from quantumflow.workflow_runs), '{1}', 'no run gets it');
select quantumflow.cancel_run(id) from quantumflow.workflow_runs;

select quantumflow._put_to_work(p, 'trial', null, quantumflow._now()) from quantumflow.policies p;
select is(pg_temp.pair(7), 'trial 1', 'of two runs in a trial one gets it');
select is((select array_agg(distinct version order by version) from quantumflow.workflow_runs where status = 'completed'), '{1,2}', 'and the other one what there was');
select is(pg_temp.pair(7, 'cancelled'), 'trial 1', 'a run that somebody cancelled says nothing');
select is(pg_temp.pair(7, 'failed'), 'trial 1', 'nor does one that failed by an error');
select is(
  (select array_agg(outcome || coalesce(': ' || reason, '') order by pair) from quantumflow.policy_pairs),
  '{won,"dropped: a run was cancelled","dropped: the other one failed"}', 'each pair is on record');
select is(pg_temp.pair(10), 'trial 1', 'nor do two that took the same time');
select is(pg_temp.pair(11), 'trial 2', 'a pair may be lost');
select pg_temp.pair(6 + n) from generate_series(1, 3) n;
select is((select state from quantumflow.policies), 'trial', 'four of five do not decide');
select pg_temp.pair(7) from generate_series(1, 5);
select is((select array[state, reason] from quantumflow.policies), '{adopted,"it is faster"}', 'nine of ten do');
select is(quantumflow._wealth(9, 1) >= 20 and quantumflow._wealth(8, 1) < 20, true, 'as the bet says');

select pg_temp.pair(7) from generate_series(1, 10);
select cmp_ok(
  (select count(*) from (select version from quantumflow.workflow_runs order by id desc limit 20) r where version = 2)::int, '>=', 16,
  'once it is adopted nearly all runs get it');
select is((select bool_or(v.version = 1) from quantumflow.workflow_versions v join quantumflow.workflows w on w.current_version = v.version), true,
  'while the current version is what it was');
select is((select is_tuned from unnest(quantumflow._take_tickets((select p from quantumflow.policies p), 400)) t group by is_tuned having count(*) < 40), false,
  'but half of every tenth pair');

select pg_temp.pair(19), pg_temp.pair(19);
select is((select array[state, reason] from quantumflow.policies), '{trial,"its runs take otherwise than they did"}', 'when its runs change it is tried again');
select pg_temp.pair(19) from generate_series(1, 5);
select is((select array[state, reason] from quantumflow.policies), '{rolled_back,"it is slower"}', 'and rolled back when it is slower by now');
select is((select policy from quantumflow.workflows), null, 'new runs have what there was');
select is_empty(
  'select run_id from quantumflow._policy_runs union all select run_id from quantumflow._policy_times union all select null from quantumflow._ticket_rolls',
  'and nothing is kept that only a policy at work needs');
select is((select array[won > 8, dropped = 3] from quantumflow.policy_history('w')), '{true,true}', 'and what was tried stays on record');
select quantumflow._put_to_work(pg_temp.propose(), 'trial', null, quantumflow._now());
select quantumflow.start_flow('w');
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select is_empty(
  'select run_id from quantumflow._policy_runs union all select null from quantumflow._ticket_rolls', 'nor of one that another definition has ended');
select is_empty('select * from quantumflow.check_state()', 'all is in order');

select * from finish();
rollback;
