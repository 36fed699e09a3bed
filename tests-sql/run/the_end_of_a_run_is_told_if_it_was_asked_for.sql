begin;
select plan(9);

-- What would be sent is kept here.
create table pg_temp.told (run_id uuid);
grant all on pg_temp.told to public;
create or replace function quantumflow._tell_event(p_event jsonb) returns void language sql as
$$insert into pg_temp.told values ((p_event ->> 'run_id')::uuid)$$;

select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "steps": [{"name": "a"}]}');
select quantumflow.define_flow('{"slug": "v", "on_complete": "told", "steps": [{"name": "a"}]}');
select quantumflow.start_flow(slug, run_id => ('10000000-0000-0000-0000-00000000000' || n)::uuid)
from (values ('w', 1), ('w', 2), ('w', 3), ('v', 4), ('w', 5), ('w', 6)) r (slug, n);

select is(quantumflow.announce_end('10000000-0000-0000-0000-000000000001'), 'started', 'it says how the run is');
select quantumflow.announce_end(('10000000-0000-0000-0000-00000000000' || n)::uuid) from generate_series(2, 5) n;

create temporary table got as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001', 10);
select quantumflow.complete_and_claim('20000000-0000-0000-0000-000000000001', (
  select jsonb_agg(to_jsonb(g) || '{"output": 1}') from got g where right(run_id::text, 1) = '1'), commands => '{}');
select results_eq('select right(run_id::text, 1) from pg_temp.told', $$values ('1')$$, 'a run that one result alone ends');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000002', 'a', 0, 'oh');
select results_eq('select right(run_id::text, 1) from pg_temp.told offset 1', $$values ('2')$$, 'one that fails');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000003');
select results_eq('select right(run_id::text, 1) from pg_temp.told offset 2', $$values ('3')$$, 'one that is cancelled');
select quantumflow.complete_tasks((select jsonb_agg(to_jsonb(g) || '{"output": 1}') from got g where right(run_id::text, 1) > '3'));
select results_eq(
  'select right(run_id::text, 1) from pg_temp.told order by 1 offset 3', $$values ('4'), ('5')$$, 'those of a batch, and of others nothing');

select is(quantumflow.announce_end('10000000-0000-0000-0000-000000000001'), 'completed', 'one that has ended');
select is(quantumflow.announce_end('10000000-0000-0000-0000-000000000002'), 'failed', 'or has failed');
select throws_ok($$select quantumflow.announce_end(gen_random_uuid())$$, 'QF201', null, 'one that there is not');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
