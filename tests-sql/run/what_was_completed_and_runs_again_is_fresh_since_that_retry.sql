begin;
select plan(13);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "on_failure": "sorry", "on_complete": "thanks", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "map_over": "a", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

create temporary table claimed (like quantumflow.claimed_task) on commit drop;
create function pg_temp.claimed() returns table (step_slug text, task_index int, retries int, fresh_since int) language plpgsql as $$
begin
  truncate pg_temp.claimed;
  insert into pg_temp.claimed select * from quantumflow.claim_tasks(gen_random_uuid(), 10);
  return query select c.step_slug, c.task_index, c.retries, c.fresh_since from pg_temp.claimed c order by 1, 2;
end
$$;
create function pg_temp.completed(step_slug text, output jsonb default '1', task_index int default null) returns bigint language sql as $$
  select count(*)
  from quantumflow.complete_tasks((
    select jsonb_agg(to_jsonb(c) || jsonb_build_object('output', completed.output))
    from pg_temp.claimed c
    where c.step_slug = completed.step_slug
      and c.task_index = coalesce(completed.task_index, c.task_index)))
  where outcome = 'completed'
$$;
create function pg_temp.failed(step_slug text, task_index int) returns text language sql as $$
  select outcome
  from quantumflow.fail_tasks((
    select jsonb_agg(to_jsonb(c)) from pg_temp.claimed c where (c.step_slug, c.task_index) = (failed.step_slug, failed.task_index)))
$$;
create function pg_temp.retry(from_step text default null) returns text language sql as $$
  select status from quantumflow.retry_run('10000000-0000-0000-0000-000000000001', from_step => retry.from_step)
$$;

select results_eq('select * from pg_temp.claimed()', $$values ('a', 0, 0, 0)$$, 'at first nothing was completed');
select pg_temp.completed('a', '[0, 1]');
select results_eq('select * from pg_temp.claimed()', $$values ('m', 0, 0, 0), ('m', 1, 0, 0)$$, 'nor of the map');
select pg_temp.completed('m', task_index => 0);
select pg_temp.failed('m', 1);

-- What was not completed may have been done all the same.
select pg_temp.retry();
select results_eq(
  'select * from pg_temp.claimed()', $$values ('m', 1, 1, 0)$$, 'what had failed is what it was, over a retry of its run');
select pg_temp.failed('m', 1);

-- Of a map that runs again whole, one had completed.
select pg_temp.retry('m');
select results_eq(
  'select * from pg_temp.claimed()', $$values ('m', 0, 2, 2), ('m', 1, 2, 0)$$, 'only what had been completed is fresh');
select pg_temp.completed('m');
select results_eq('select * from pg_temp.claimed()', $$values ('z', 0, 2, 0)$$, 'what follows had not');
select pg_temp.failed('z', 0);

select pg_temp.retry('a');
select results_eq('select * from pg_temp.claimed()', $$values ('a', 0, 3, 3)$$, 'from the first step: it had been completed');
select pg_temp.completed('a', '[0, 1, 2]');
select results_eq(
  'select * from pg_temp.claimed()', $$values ('m', 0, 3, 3), ('m', 1, 3, 3), ('m', 2, 3, 0)$$,
  'what depends on it, as far as there was one of it');
select pg_temp.completed('m', task_index => 1);
select pg_temp.failed('m', 2);

-- Completed and fresh, then not completed: it stays the same.
select pg_temp.retry();
select results_eq(
  'select * from pg_temp.claimed()', $$values ('m', 0, 4, 3), ('m', 2, 4, 0)$$, 'what was cancelled stays fresh since then');
select pg_temp.completed('m');
select results_eq('select * from pg_temp.claimed()', $$values ('z', 0, 4, 0)$$, 'the last step has never been completed');
select pg_temp.completed('z');
select results_eq(
  'select * from pg_temp.claimed()', $$values ('_on_complete', 4, 4, 0)$$, 'a callback is another each time, by its index');

select results_eq(
  'select step_slug collate "default", task_index, undone_by, attempt from quantumflow.undone_tasks order by 3, 1, 2',
  $$values ('m', 0, 2, 1), ('a', 0, 3, 1), ('m', 0, 3, 1), ('m', 1, 3, 1)$$, 'what was undone stays on record');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select pg_temp.completed('_on_complete');
select quantumflow.delete_run('10000000-0000-0000-0000-000000000001');
select is_empty('select from quantumflow.undone_tasks', 'as long as the run');

select * from finish();
rollback;
