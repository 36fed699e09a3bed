begin;
select plan(3);

-- Every state a task can be in, with every kind of token, reported in each of the four ways; by hand in the forms for one task, else
-- in a batch. A "!" says that the task's row has changed.
insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "retry_delay": 0, "timeout": 60, "steps": [{"name": "a"}, {"name": "b"}]}');

create function pg_temp.later(p_by interval)
returns void
language sql
as $$
  select set_config('quantumflow.now', (quantumflow._now() + p_by)::text, true);
$$;

create function pg_temp.claim(p_lease interval default '30 s')
returns bigint
language sql
as $$
  select lease_token from quantumflow.claim_tasks(gen_random_uuid(), 1, lease => p_lease, commands => '{a}');
$$;

create function pg_temp.outcome(p_state text, p_token text, p_verb text)
returns text
language plpgsql
as $$
declare
  v_run     uuid := quantumflow.start_flow('w');
  v_current bigint;
  v_former  bigint;
  v_report  jsonb;
  v_before  quantumflow.step_tasks;
  v_after   quantumflow.step_tasks;
  v_outcome text;
begin
  if p_state not in ('queued', 'no such task', 'no such run', 'cancelled before a claim') then
    v_current := pg_temp.claim();
  end if;

  if p_state in ('failed once', 'failed once, claimed again', 'failed once, cancelled later') then
    perform quantumflow.fail_task(v_run, 'a', 0, 'x', v_current);
  elsif p_state in ('lost, claimed again', 'lost') then
    perform pg_temp.later('30 s');
    perform quantumflow.sweep();
  elsif p_state in ('timed out, claimed again', 'timed out') then
    perform quantumflow.extend_leases(gen_random_uuid(), jsonb_build_array(jsonb_build_object(
      'run_id', v_run, 'step_slug', 'a', 'task_index', 0, 'lease_token', v_current)), '60 s');
    perform pg_temp.later('60 s');
    perform quantumflow.sweep();
  elsif p_state = 'released' then
    perform quantumflow.release_tasks(jsonb_build_array(jsonb_build_object(
      'run_id', v_run, 'step_slug', 'a', 'task_index', 0, 'lease_token', v_current)));
  end if;

  if p_state like '%claimed again' or p_state = 'failed once, cancelled later' then
    v_former := v_current;
    v_current := pg_temp.claim();
  elsif p_state in ('lost', 'timed out', 'released') then
    v_former := v_current;
  elsif p_state = 'lapsed, not noticed' then
    perform pg_temp.later('1 day');
  elsif p_state in ('completed', 'completed, run failed') then
    perform quantumflow.complete_task(v_run, 'a', 0, '1', v_current);
  elsif p_state = 'failed' then
    perform quantumflow.fail_task(v_run, 'a', 0, 'x', v_current, retryable => false);
  elsif p_state = 'skipped' then
    update quantumflow.step_tasks set status = 'skipped' where run_id = v_run and step_slug = 'a';
    perform pgmq.delete(t.queue, t.message_id) from quantumflow.step_tasks t where t.run_id = v_run and t.step_slug = 'a';
  end if;

  if p_state like '%cancelled%' then
    perform quantumflow.cancel_run(v_run);
  elsif p_state = 'completed, run failed' then
    perform quantumflow.fail_task(v_run, 'b', 0, 'x', retryable => false);
  end if;

  v_report := jsonb_build_object(
    'run_id', case p_state when 'no such run' then gen_random_uuid() else v_run end,
    'step_slug', case p_state when 'no such task' then 'c' else 'a' end,
    'task_index', 0,
    'output', 1);
  v_report := case p_token
    when 'current' then v_report || jsonb_build_object('lease_token', v_current)
    when 'former' then v_report || jsonb_build_object('lease_token', v_former)
    when 'wrong' then v_report || '{"lease_token": 1}'
    when 'null' then v_report || '{"lease_token": null}'
    when 'by hand' then v_report || '{"lease_token": null}'
    when 'no key' then v_report
  end;
  v_report := jsonb_build_array(v_report);

  select * into v_before from quantumflow.step_tasks where run_id = v_run and step_slug = 'a';
  v_outcome := case p_verb || case when p_token = 'by hand' and p_verb in ('complete', 'fail') then ' by hand' else '' end
    when 'complete' then (select outcome from quantumflow.complete_tasks(v_report))
    when 'complete by hand' then (
      select quantumflow.complete_task(r.run_id, r.step_slug, r.task_index, r.output)
      from jsonb_populate_record(null::quantumflow.step_tasks, v_report -> 0) r)
    when 'fail' then (select outcome from quantumflow.fail_tasks(v_report))
    when 'fail by hand' then (
      select quantumflow.fail_task(r.run_id, r.step_slug, r.task_index)
      from jsonb_populate_record(null::quantumflow.step_tasks, v_report -> 0) r)
    when 'release' then quantumflow.release_tasks(v_report)::text
    when 'extend' then (select state from quantumflow.extend_leases(gen_random_uuid(), v_report, '30 s'))
  end;
  select * into v_after from quantumflow.step_tasks where run_id = v_run and step_slug = 'a';

  if exists (select from quantumflow.workflow_runs where id = v_run and status = 'started') then
    perform quantumflow.cancel_run(v_run);
  end if;

  return v_outcome || case when v_before is distinct from v_after then '!' else '' end;
end
$$;

create temporary table matrix (n serial, state text, token text, complete text, fail text, release text, extend text) on commit drop;
insert into matrix (state, token, complete, fail, release, extend)
values
  ('queued',                       'wrong',   'stale',      'stale',     '0',  'lost'),
  ('queued',                       'by hand', 'completed!', 'retrying!', '0',  'lost'),
  ('queued',                       'null',    'stale',      'stale',     '0',  'lost'),
  ('queued',                       'no key',  'stale',      'stale',     '0',  'lost'),
  ('started',                      'current', 'completed!', 'retrying!', '1!', 'held'),
  ('started',                      'wrong',   'stale',      'stale',     '0',  'lost'),
  ('started',                      'by hand', 'completed!', 'retrying!', '0',  'lost'),
  ('started',                      'null',    'stale',      'stale',     '0',  'lost'),
  ('started',                      'no key',  'stale',      'stale',     '0',  'lost'),
  ('lapsed, not noticed',          'current', 'completed!', 'retrying!', '1!', 'held'),
  ('lapsed, not noticed',          'wrong',   'stale',      'stale',     '0',  'lost'),
  ('released',                     'former',  'stale',      'stale',     '0',  'lost'),
  ('released',                     'by hand', 'completed!', 'retrying!', '0',  'lost'),
  ('released',                     'null',    'stale',      'stale',     '0',  'lost'),
  ('failed once',                  'current', 'duplicate',  'duplicate', '0',  'lost'),
  ('failed once',                  'wrong',   'stale',      'stale',     '0',  'lost'),
  ('failed once',                  'by hand', 'completed!', 'retrying!', '0',  'lost'),
  ('failed once',                  'null',    'stale',      'stale',     '0',  'lost'),
  ('failed once',                  'no key',  'stale',      'stale',     '0',  'lost'),
  ('failed once, claimed again',   'current', 'completed!', 'retrying!', '1!', 'held'),
  ('failed once, claimed again',   'former',  'duplicate',  'duplicate', '0',  'lost'),
  ('failed once, claimed again',   'wrong',   'stale',      'stale',     '0',  'lost'),
  ('failed once, claimed again',   'by hand', 'completed!', 'retrying!', '0',  'lost'),
  ('failed once, claimed again',   'null',    'stale',      'stale',     '0',  'lost'),
  ('failed once, claimed again',   'no key',  'stale',      'stale',     '0',  'lost'),
  ('lost',                         'former',  'stale',      'stale',     '0',  'lost'),
  ('lost',                         'by hand', 'completed!', 'retrying!', '0',  'lost'),
  ('lost',                         'null',    'stale',      'stale',     '0',  'lost'),
  ('lost, claimed again',          'current', 'completed!', 'retrying!', '1!', 'held'),
  ('lost, claimed again',          'former',  'stale',      'stale',     '0',  'lost'),
  ('timed out',                    'former',  'stale',      'stale',     '0',  'lost'),
  ('timed out, claimed again',     'current', 'completed!', 'retrying!', '1!', 'held'),
  ('timed out, claimed again',     'former',  'stale',      'stale',     '0',  'lost'),
  ('completed',                    'current', 'duplicate',  'duplicate', '0',  'lost'),
  ('completed',                    'wrong',   'stale',      'stale',     '0',  'lost'),
  ('completed',                    'by hand', 'duplicate',  'duplicate', '0',  'lost'),
  ('completed',                    'null',    'stale',      'stale',     '0',  'lost'),
  ('completed',                    'no key',  'stale',      'stale',     '0',  'lost'),
  ('completed, run failed',        'current', 'duplicate',  'duplicate', '0',  'lost'),
  ('completed, run failed',        'by hand', 'duplicate',  'duplicate', '0',  'lost'),
  ('completed, run failed',        'null',    'stale',      'stale',     '0',  'lost'),
  ('failed',                       'current', 'duplicate',  'duplicate', '0',  'lost'),
  ('failed',                       'wrong',   'stale',      'stale',     '0',  'lost'),
  ('failed',                       'by hand', 'duplicate',  'duplicate', '0',  'lost'),
  ('failed',                       'null',    'stale',      'stale',     '0',  'lost'),
  ('failed',                       'no key',  'stale',      'stale',     '0',  'lost'),
  ('cancelled',                    'current', 'run_ended',  'run_ended', '0',  'cancelled'),
  ('cancelled',                    'wrong',   'stale',      'stale',     '0',  'lost'),
  ('cancelled',                    'by hand', 'run_ended',  'run_ended', '0',  'lost'),
  ('cancelled',                    'null',    'stale',      'stale',     '0',  'lost'),
  ('cancelled',                    'no key',  'stale',      'stale',     '0',  'lost'),
  ('cancelled before a claim',     'wrong',   'stale',      'stale',     '0',  'lost'),
  ('cancelled before a claim',     'by hand', 'run_ended',  'run_ended', '0',  'lost'),
  ('cancelled before a claim',     'null',    'stale',      'stale',     '0',  'lost'),
  ('failed once, cancelled later', 'current', 'run_ended',  'run_ended', '0',  'cancelled'),
  ('failed once, cancelled later', 'former',  'duplicate',  'duplicate', '0',  'lost'),
  ('skipped',                      'current', 'run_ended',  'run_ended', '0',  'lost'),
  ('skipped',                      'wrong',   'stale',      'stale',     '0',  'lost'),
  ('skipped',                      'by hand', 'run_ended',  'run_ended', '0',  'lost'),
  ('skipped',                      'null',    'stale',      'stale',     '0',  'lost'),
  ('no such task',                 'wrong',   'stale',      'stale',     '0',  'lost'),
  ('no such task',                 'by hand', 'stale',      'stale',     '0',  'lost'),
  ('no such task',                 'null',    'stale',      'stale',     '0',  'lost'),
  ('no such run',                  'wrong',   'stale',      'stale',     '0',  'lost'),
  ('no such run',                  'by hand', 'stale',      'stale',     '0',  'lost'),
  ('no such run',                  'null',    'stale',      'stale',     '0',  'lost');

create temporary table seen on commit drop as
select
  n, state, token,
  pg_temp.outcome(state, token, 'complete') as complete,
  pg_temp.outcome(state, token, 'fail') as fail,
  pg_temp.outcome(state, token, 'release') as release,
  pg_temp.outcome(state, token, 'extend') as extend
from matrix
order by n;

select results_eq(
  'select state, token, complete, fail, release, extend from seen order by n',
  'select state, token, complete, fail, release, extend from matrix order by n',
  'every outcome is as called for, and what does not act changes nothing');
select is((select count(*)::int from seen), 66, 'sixty-six of them, in four ways');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
