begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "retry_delay": 0, "steps": [
  {"name": "a", "command": "ask"}, {"name": "b", "command": "ask", "dependencies": ["a"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

create function pg_temp.failed(usage jsonb) returns text language sql as $$
  select o.outcome
  from quantumflow.fail_tasks((
    select jsonb_agg(to_jsonb(c) || jsonb_build_object('usage', failed.usage)) from quantumflow.claim_tasks(gen_random_uuid()) c)) o
$$;
create function pg_temp.completed(usage jsonb) returns text language sql as $$
  select o.outcome
  from quantumflow.complete_tasks((
    select jsonb_agg(to_jsonb(c) || jsonb_build_object('output', 1, 'usage', completed.usage))
    from quantumflow.claim_tasks(gen_random_uuid()) c)) o
$$;

select pg_temp.failed('{"tokens": 100}');
select pg_temp.completed('{"tokens": 20, "dollars": 0.02}');
select pg_temp.completed(null);
select results_eq(
  'select step_slug collate "default", attempt, outcome, name, amount from quantumflow.attempt_usage order by 1, 2, 4',
  $$values ('a', 1, 'error', 'tokens', 100::numeric), ('a', 2, 'completed', 'dollars', 0.02), ('a', 2, 'completed', 'tokens', 20)$$,
  'that of a failed attempt, too');

select quantumflow.retry_run('10000000-0000-0000-0000-000000000001', from_step => 'a');
select pg_temp.completed('{"tokens": 3}');
select results_eq(
  'select command, name, sum(amount) from quantumflow.attempt_usage group by 1, 2 order by 2',
  $$values ('ask', 'dollars', 0.02), ('ask', 'tokens', 123::numeric)$$,
  'and what a retry has undone');

-- A report that comes too late changes nothing, in this too.
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid());
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');
select results_eq(
  $$select outcome from quantumflow.complete_tasks((
      select jsonb_agg(to_jsonb(c) || '{"output": 1, "usage": {"tokens": 5}}') from claimed c))$$,
  $$values ('run_ended')$$, 'a late report');
select is((select sum(amount) from quantumflow.attempt_usage where name = 'tokens'), 123::numeric, 'adds nothing');

select * from finish();
rollback;
