begin;
select plan(13);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
create function pg_temp.register(version text, may_use text[] default '{ship,mail}') returns void language sql as $$
  select quantumflow.register_decomposer('d', 'command', 'plan_it', version, may_use, cache_for => '1 hour');
$$;
create temporary table g (id uuid);
insert into g values (null);
create function pg_temp.give(goal text default 'Ship  it', context jsonb default '{}') returns text language sql as $$
  update g set id = quantumflow.execute_goal(goal, 'd', context);
  select quantumflow.goal_status(id) ->> 'status' from g;
$$;
create function pg_temp.answer() returns void language sql as $$
  select quantumflow.complete_task(plan_run_id, 'plan', output => '[{"id": "ship"}]') from quantumflow.goals where goal_id = (select id from g);
  select quantumflow.settle();
$$;
create function pg_temp.end(good boolean) returns void language plpgsql as $$
declare
  v_run uuid := (select l.run_id from quantumflow.goals l where l.goal_id = (select id from g));
begin
  if good then
    perform quantumflow.complete_task(v_run, 'ship', output => '1');
  else
    perform quantumflow.fail_task(v_run, 'ship', error_message => 'no', retryable => false);
  end if;
end
$$;

select pg_temp.register('1');
select is(pg_temp.give(), 'decomposing', 'a goal that is new is asked for');
select pg_temp.answer();
select pg_temp.end(true);
select is(pg_temp.give('ship it '), 'running', 'the same goal, whatever its blanks and case, is not');
select is((select plans from quantumflow.goals, g where goal_id = id), 0, 'nobody was asked');
select is(pg_temp.give('ship it', '{"who": "me"}'), 'decomposing', 'one of another context is');
select is(pg_temp.give('ship them'), 'decomposing', 'and another goal');

-- Of failed runs.
update g set id = (select goal_id from quantumflow.goals where plans = 0);
select pg_temp.end(false);
select is(pg_temp.give(), 'running', 'one run failed and one completed: it is good still');
select pg_temp.end(false);
select is(pg_temp.give(), 'decomposing', 'two failed and one completed: it is asked for anew');
select pg_temp.answer();
select pg_temp.end(true);
select is(pg_temp.give(), 'running', 'as many completed as failed');
select pg_temp.end(true);

-- Of commands that are gone, of args that are not taken any more, of another version, too old.
select pg_temp.register('1', '{mail}');
select is(pg_temp.give(), 'decomposing', 'its command may not be used any more');
select pg_temp.register('1');
select quantumflow.describe_command('ship', 'Ships', '{"type": "object", "required": ["to"]}');
select is(pg_temp.give(), 'decomposing', 'its args would not be taken any more');
select quantumflow.describe_command('ship', 'Ships');
select is(pg_temp.give(), 'running', 'as before');
select pg_temp.register('2');
select is(pg_temp.give(), 'decomposing', 'another version of the planner made it');
select pg_temp.register('1');
set local quantumflow.now = '2030-01-01 01:00:01+00';
select is(pg_temp.give(), 'decomposing', 'it is too old');

select * from finish();
rollback;
