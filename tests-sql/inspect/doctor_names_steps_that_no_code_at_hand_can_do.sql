begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "type": "map"}, {"name": "b"}]}');
select quantumflow.start_flow('w', '[1, 2, 3]');
create function pg_temp.left_to_others(p_count int, p_step text) returns int language sql as $$
  select quantumflow.release_tasks(jsonb_agg(to_jsonb(c) || '{"reason": "it asks for x"}'))
  from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', p_count, commands => array[p_step]) c
$$;
create function pg_temp.named() returns setof text language sql as $$
  select d.subject || ': ' || d.fact from quantumflow.doctor() d where d.subject like 'workflow %' and d.state = 'warning' order by 1
$$;

set local quantumflow.now = '2030-01-01 00:00:09+00';
select pg_temp.left_to_others(3, 'a');
select is_empty('select pg_temp.named()', 'code that can do it may be about to have it');
set local quantumflow.now = '2030-01-01 00:00:40+00';
select pg_temp.left_to_others(2, 'a');
select results_eq(
  'select pg_temp.named()',
  array['workflow w, version 1: 2 tasks of step a wait for code that can do them, since 2030-01-01 00:00:00+00; left to other code: it asks for x'],
  'then the step is named, and why');
set local quantumflow.now = '2030-01-01 00:00:50+00';
select quantumflow.complete_tasks((
  select jsonb_agg(to_jsonb(c) || '{"output": 1}')
  from quantumflow.claim_tasks('b0000000-0000-0000-0000-00000000000b', 3, commands => '{a}') c));
select is_empty('select pg_temp.named()', 'until somebody has done them');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
