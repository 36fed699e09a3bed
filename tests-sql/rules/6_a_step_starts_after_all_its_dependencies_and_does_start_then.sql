begin;
select plan(4);

-- A hundred steps, each waiting for those whose number divides its own, done in a random order.
insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select setseed(0.42);
select quantumflow.define_flow((
  select jsonb_build_object('slug', 'w', 'steps', jsonb_agg(
    jsonb_build_object('name', 's' || i, 'dependencies', (
      select coalesce(jsonb_agg('s' || d), '[]') from generate_series(2, i - 1) d where i % d = 0))))
  from generate_series(2, 101) i));
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

create function pg_temp.work()
returns int
language plpgsql
as $$
declare
  v_bad  int := 0;
  v_task record;
begin
  for v_round in 1 .. 100 loop
    select * into v_task from quantumflow.step_tasks t where t.status = 'queued' order by random() limit 1;
    exit when not found;
    perform quantumflow.complete_task(v_task.run_id, v_task.step_slug);
    -- Started or done are those, and only those, whose dependencies are all done.
    v_bad := v_bad + (
      select count(*)
      from quantumflow.step_states s
      where (s.status <> 'created') <> not exists (
        select
        from quantumflow.step_dependencies d
        join quantumflow.step_states o on (o.run_id, o.step_slug) = (d.run_id, d.depends_on_step)
        where (d.run_id, d.step_slug) = (s.run_id, s.step_slug)
          and o.status <> 'completed'));
  end loop;
  return v_bad;
end
$$;
select is(pg_temp.work(), 0, 'after every step');
select is((select status from quantumflow.workflow_runs), 'completed', 'to the end');
select is((select count(*)::int from quantumflow.step_tasks where status = 'completed'), 100, 'each step was done once');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
