begin;
select plan(10);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "max_lost": 1, "steps": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001', priority => 5);
create temporary table claimed on commit drop as
select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', 10);
select is((select array_agg(version) from claimed), '{1,1,1}', 'what is handed out says of which version its run is');

create function pg_temp.leave(p_step text) returns int language sql as $$
  select quantumflow.release_tasks(jsonb_agg(to_jsonb(c) || '{"reason": "it asks for x"}'))
  from claimed c
  where c.step_slug = p_step;
$$;
create function pg_temp.visible(p_step text) returns timestamptz language sql as $$
  select q.vt
  from pgmq.q_quantum_flow_queue q
  join quantumflow.step_tasks t on t.message_id = q.msg_id
  where t.step_slug = p_step;
$$;

select is(pg_temp.leave('a'), 1, 'it is handed back');
select results_eq(
  $$select status, attempts, lease_token, queued_at, error_message from quantumflow.step_tasks where step_slug = 'a'$$,
  $$values ('queued', 0, null::bigint, '2030-01-01 00:00:00+00'::timestamptz, 'left to other code: it asks for x')$$,
  'as if it had never been claimed, but for the reason');
select is(pg_temp.visible('a'), '2030-01-01 00:00:00.1+00', 'and hidden for a tenth of a second at least, whatever its priority');

set local quantumflow.now = '2030-01-01 00:00:24+00';
select pg_temp.leave('b');
select is(pg_temp.visible('b'), '2030-01-01 00:00:27+00', 'for an eighth of the time since it was queued');
set local quantumflow.now = '2030-01-01 00:50:00+00';
select pg_temp.leave('c');
select is(pg_temp.visible('c'), '2030-01-01 00:51:00+00', 'and for a minute at most');

set local quantumflow.now = '2030-01-01 00:50:01+00';
select quantumflow.register_worker('b0000000-0000-0000-0000-00000000000b', 'other', '{c}', '{quantum_flow_queue}');
create temporary table taken on commit drop as
select * from quantumflow.claim_tasks('b0000000-0000-0000-0000-00000000000b', 1, commands => '{c}');
select results_eq(
  'select step_slug, attempt from taken', $$values ('c', 1)$$, 'a worker that registers with its command has it at once, for its first attempt');
select quantumflow.complete_tasks((select jsonb_agg(to_jsonb(t) || '{"output": 1}') from taken t));
select is(
  (select error_message from quantumflow.step_tasks where step_slug = 'c'), null, 'once it is done the reason is gone');

select is_empty('select from quantumflow.task_failures', 'none of it was a failure');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
