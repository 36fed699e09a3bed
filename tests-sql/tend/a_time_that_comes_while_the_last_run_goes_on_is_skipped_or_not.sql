begin;
select plan(16);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.schedule_flow(o, 'w', '@hourly', overlap => o) from unnest('{skip,allow,queue,cancel}'::text[]) o;

create function pg_temp.sweep_at(moment text)
returns int
language plpgsql
as $$
begin
  perform set_config('quantumflow.now', '2030-01-01 ' || moment || '+00', true);
  return (select tasks from quantumflow.sweep() where action = 'schedules');
end
$$;
create function pg_temp.runs(schedule text)
returns text
language sql
as $$
  select string_agg(substr(r.headers ->> 'scheduled_at', 12, 5) || ' ' || r.status, ', ' order by r.headers ->> 'scheduled_at')
  from quantumflow.workflow_runs r
  where r.headers ->> 'schedule' = schedule
$$;

select is(pg_temp.sweep_at('01:00'), 4, 'the first runs start');
select is(pg_temp.sweep_at('02:00'), 2, 'of the second two');
select is(pg_temp.runs('skip'), '01:00 started', 'skip starts none');
select is(pg_temp.runs('allow'), '01:00 started, 02:00 started', 'allow starts it beside the first');
select is(pg_temp.runs('queue'), '01:00 started', 'queue waits');
select is(pg_temp.runs('cancel'), '01:00 cancelled, 02:00 started', 'cancel ends the first');
select is(
  (select error_message from quantumflow.workflow_runs where status = 'cancelled'), 'schedule "cancel" started the next run',
  'which says why');
select results_eq(
  'select schedule_slug, skipped, missed, next_at from quantumflow.schedules order by 1',
  $$values
    ('allow' collate "C", 0::bigint, 0::bigint, '2030-01-01 03:00+00'::timestamptz),
    ('cancel', 0, 0, '2030-01-01 03:00+00'), ('queue', 0, 0, '2030-01-01 02:00:01+00'), ('skip', 1, 0, '2030-01-01 03:00+00')$$,
  'what was skipped is counted, what waits is looked at again');

-- A paused run goes on.
select quantumflow.pause_run(last_run_id) from quantumflow.schedules where schedule_slug = 'skip';
select quantumflow.cancel_run(last_run_id) from quantumflow.schedules where schedule_slug = 'queue';
select is(pg_temp.sweep_at('02:00:02'), 1, 'what waits starts when the last run has ended');
select is(pg_temp.runs('queue'), '01:00 cancelled, 02:00 started', 'for its time');

select pg_temp.sweep_at('03:00'), pg_temp.sweep_at('03:30'), pg_temp.sweep_at('04:00');
select is(pg_temp.runs('skip'), '01:00 paused', 'a paused run is not over');
select is(pg_temp.runs('queue'), '01:00 cancelled, 02:00 started', 'one waits');
select quantumflow.cancel_run(last_run_id) from quantumflow.schedules where schedule_slug in ('queue', 'skip');
select pg_temp.sweep_at('04:30');
select is(pg_temp.runs('queue'), '01:00 cancelled, 02:00 cancelled, 04:00 started', 'the latest');
select results_eq(
  $$select missed, skipped from quantumflow.schedules where schedule_slug = 'queue'$$, 'values (0::bigint, 1::bigint)',
  'whose place it took counts as skipped');
select pg_temp.sweep_at('05:00');
select is(pg_temp.runs('skip'), '01:00 cancelled, 05:00 started', 'after the end the next time starts again');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
