begin;
select plan(11);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

create role a_worker;
select quantumflow.grant_access('a_worker', 'worker');
create temporary table claimed (run_id uuid, step_slug text, task_index int, lease_token bigint, output jsonb) on commit drop;
grant all on claimed to a_worker;

-- pgTAP keeps its counts in tables of the one who planned, so the role is put on only for the calls.
create function pg_temp.as_worker(statement text) returns text language plpgsql as $as_worker$
begin
  set local role a_worker;
  execute statement;
  reset role;
  return 'done';
exception
  when others then
    reset role;
    return sqlstate;
end
$as_worker$;

select is(
  pg_temp.as_worker($$select quantumflow.register_worker(gen_random_uuid(), 'me', null, '{quantum_flow_queue}')$$),
  'done', 'it can register');
select is(
  pg_temp.as_worker($$
    insert into claimed
    select run_id, step_slug, task_index, lease_token, '1' from quantumflow.claim_tasks(gen_random_uuid())$$),
  'done', 'it can claim');
select is(
  pg_temp.as_worker($$select quantumflow.complete_tasks((select jsonb_agg(to_jsonb(c)) from claimed c))$$),
  'done', 'and report');
select is((select status from quantumflow.step_states where step_slug = 'b'), 'started', 'so that the next step starts');
select is(
  pg_temp.as_worker($$select quantumflow.run_input('10000000-0000-0000-0000-000000000001')$$), 'done', 'it can read an input');
select is(pg_temp.as_worker('select * from quantumflow.sweep()'), 'done', 'it can sweep');
select is(pg_temp.as_worker('select * from quantumflow.workflow_runs'), '42501', 'it cannot read a table');
select is(pg_temp.as_worker('select * from pgmq.q_quantum_flow_queue'), '42501', 'nor a queue');
select is(
  pg_temp.as_worker($$select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001')$$),
  '42501', 'it cannot cancel a run');
select is(
  pg_temp.as_worker($$select quantumflow.start_flow('w')$$), '42501', 'it cannot start one');
select is(
  pg_temp.as_worker($$select quantumflow._fail_run('10000000-0000-0000-0000-000000000001', 'x', now())$$),
  '42501', 'nor call what is private');

select * from finish();
rollback;
