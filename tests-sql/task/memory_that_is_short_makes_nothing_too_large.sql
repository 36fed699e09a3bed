begin;
select plan(12);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 2, "retry_delay": 60, "steps": [{"name": "a"}]}');
select quantumflow.define_flow('{"slug": "two", "steps": [{"name": "a"}, {"name": "b"}]}');
select quantumflow.define_flow('{"slug": "maps", "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.start_flow('w', '"short"', '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', '"fits"', '10000000-0000-0000-0000-000000000002');

-- As when the server has no memory for what concerns the runs whose ids end with 1.
create function quantumflow._run_short(p_run_id uuid) returns void language plpgsql as $$
begin
  if p_run_id::text like '%1' then
    raise exception using errcode = 'out_of_memory', message = 'out of memory';
  end if;
end
$$;
alter function quantumflow._task_input(uuid, text, int, jsonb, jsonb, int, text[], boolean, boolean, boolean, int, int) rename to _really_task_input;
create function quantumflow._task_input(
  p_run_id uuid, p_step_slug text, p_task_index int, p_item_value jsonb, p_run_input jsonb, p_retries int, p_dependencies text[],
  p_counts boolean, p_gathers boolean, p_repeats boolean, p_chunk_size int, p_most int)
returns table (input jsonb, fresh_since int)
language plpgsql stable as $$
begin
  perform quantumflow._run_short(p_run_id);
  return query select jsonb_build_object('run', p_run_input), 0;
end
$$;

select results_eq(
  $$select input ->> 'run' from quantumflow.claim_tasks(gen_random_uuid(), 10)$$, $$values ('fits')$$,
  'a claim hands out what can be handed out');
select results_eq(
  $$select status, attempts, queued_at >= '2030-01-01 00:01:00+00', error_message from quantumflow.step_tasks where run_id::text like '%1'$$,
  $$values ('queued', 1, true, 'the server could not hand it out: out of memory')$$,
  'for the other it is an attempt, to be made again later');
select results_eq(
  $$select kind, attempt from quantumflow.task_failures$$, $$values ('error', 1)$$, 'as its history says');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

set local quantumflow.now = '2030-01-01 00:10:00+00';
select is_empty($$select from quantumflow.claim_tasks(gen_random_uuid(), 10) where input ->> 'run' = 'short'$$, 'if it is so again');
select results_eq(
  $$select status, error_message from quantumflow.workflow_runs where id::text like '%1'$$,
  $$values ('failed', 'step a: the server could not hand it out: out of memory')$$, 'and no attempt is left, the run fails with the true reason');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

alter function quantumflow._with_outputs(quantumflow._ended_run[]) rename to _really_with_outputs;
create function quantumflow._with_outputs(p_ended quantumflow._ended_run[]) returns quantumflow._ended_run[] language plpgsql as $$
begin
  perform quantumflow._run_short(e.run_id) from unnest(p_ended) e;
  return quantumflow._really_with_outputs(p_ended);
end
$$;
alter function quantumflow._gather_map(uuid, text) rename to _really_gather_map;
create function quantumflow._gather_map(p_run_id uuid, p_step_slug text) returns jsonb language plpgsql as $$
begin
  perform quantumflow._run_short(p_run_id);
  return quantumflow._really_gather_map(p_run_id, p_step_slug);
end
$$;
drop function quantumflow._task_input(uuid, text, int, jsonb, jsonb, int, text[], boolean, boolean, boolean, int, int);
alter function quantumflow._really_task_input(uuid, text, int, jsonb, jsonb, int, text[], boolean, boolean, boolean, int, int) rename to _task_input;
select quantumflow.start_flow('two', run_id => '20000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('maps', '[1, 2]', '30000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as
select c.run_id, to_jsonb(c) || '{"output": 1}' as report from quantumflow.claim_tasks(gen_random_uuid(), 10) c
where c.run_id::text like '%1';

prepare report(text) as
select count(*)::int from quantumflow.complete_tasks((select jsonb_agg(report) from claimed where run_id::text like $1));
select throws_ok($$execute report('2%')$$, '53200', 'out of memory', 'a result whose run cannot end for want of memory is refused');
select throws_ok($$execute report('3%')$$, '53200', 'out of memory', 'so is the last of a map that cannot be gathered');
select is(
  (select count(*)::int from quantumflow.step_tasks where status = 'started' and run_id::text ~ '^[23].*1$'), 4, 'nothing is recorded');
select is(
  (select count(*)::int from quantumflow.workflow_runs where status = 'started' and id::text ~ '^[23].*1$'), 2, 'no run fails');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
