begin;
select plan(9);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "timeout": 10800, "steps": [{"name": "a", "type": "map"}]}');
select quantumflow.define_flow('{"slug": "v", "steps": [{"name": "b"}]}');
select quantumflow.define_flow('{"slug": "far", "queue": "far", "steps": [{"name": "a", "command": "w.a"}]}');
select quantumflow.start_flow('w', '[1, 2, 3]');
select quantumflow.start_flow('v');
create function pg_temp.named() returns setof text language sql as $$
  select d.subject || ': ' || d.fact from quantumflow.doctor() d where d.subject like 'command %' and d.state <> 'ok' order by 1
$$;
create function pg_temp.claimed(quantity int, commands text[]) returns bigint language sql as $$
  select count(*) from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', quantity, lease => '2 h', commands => commands)
$$;

set local quantumflow.now = '2030-01-01 00:00:09+00';
select is_empty('select pg_temp.named()', 'what has just begun to wait is no worry');
set local quantumflow.now = '2030-01-01 00:00:11+00';
select quantumflow.register_worker('b0000000-0000-0000-0000-00000000000b', 'b', '{b}', '{quantum_flow_queue}');
select quantumflow.register_worker('c0000000-0000-0000-0000-00000000000c', 'far', null, '{far}');
select results_eq(
  'select pg_temp.named()',
  array['command a: 3 tasks wait in queue quantum_flow_queue, since 2030-01-01 00:00:00+00, and no live worker has the command and serves the queue'],
  'a command that no live worker has, or not for this queue');

select quantumflow.register_worker('a0000000-0000-0000-0000-00000000000a', 'a', '{a}', '{quantum_flow_queue}');
select is_empty('select pg_temp.named()', 'one that somebody could claim may wait');
set local quantumflow.now = '2030-01-01 00:05:01+00';
select quantumflow.register_worker('a0000000-0000-0000-0000-00000000000a', 'a', '{a}', '{quantum_flow_queue}');
select results_eq(
  'select pg_temp.named()',
  array['command a: 3 tasks wait in queue quantum_flow_queue, since 2030-01-01 00:00:00+00, and none is worked on, though 1 live worker could',
    'command b: 1 tasks wait in queue quantum_flow_queue, since 2030-01-01 00:00:00+00, and no live worker has the command and serves the queue'],
  'not for ever; and who was not seen for a minute is not alive');

select is(pg_temp.claimed(1, '{a}'), 1::bigint, 'a worker has all that it can have');
set local quantumflow.now = '2030-01-01 01:00:00+00';
select is((select count(*) from pg_temp.named() n where n like 'command a: %'), 0::bigint, 'the others wait for their turns, however long');
select results_eq(
  $$select state, fact from quantumflow.doctor() where subject = 'workers'$$, $$values ('ok', '1 alive')$$,
  'who holds a long lease is alive, though it was not seen for long');
set local quantumflow.now = '2030-01-01 02:06:00+00';
select is((select count(*) from pg_temp.named() n where n like 'command a: % no live worker %'), 1::bigint, 'until that has run out');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
