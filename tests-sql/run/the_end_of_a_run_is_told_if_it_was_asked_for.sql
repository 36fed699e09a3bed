begin;
select plan(11);

-- What would be sent is kept here.
create table pg_temp.told (run_id uuid);
create table pg_temp.called_off (run_id uuid);
grant all on pg_temp.told, pg_temp.called_off to public;
create or replace function quantumflow._tell_event(p_event jsonb) returns void language sql as $$
  insert into pg_temp.told select (p_event ->> 'run_id')::uuid where p_event ->> 'kind' = 'run_ended';
  insert into pg_temp.called_off select (p_event ->> 'run_id')::uuid where p_event ->> 'kind' = 'tasks_cancelled';
$$;

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

select results_eq(
  'select right(run_id::text, 1) from pg_temp.called_off', $$values ('3')$$, 'workers are told of the run that was cancelled while they had tasks of it');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000007');
select quantumflow.define_flow('{"slug": "x", "announce": true, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('x', run_id => ('10000000-0000-0000-0000-00000000000' || n)::uuid) from generate_series(8, 9) n;
select quantumflow.cancel_run(('10000000-0000-0000-0000-00000000000' || n)::uuid) from generate_series(7, 8) n;
select quantumflow.complete_tasks(jsonb_agg(to_jsonb(g) || '{"output": 1}'))
from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001', 10) g;
select results_eq(
  $$select 'told ' || right(run_id::text, 1) from pg_temp.told
    union all
    select 'called off ' || right(run_id::text, 1) from pg_temp.called_off
    order by 1 desc limit 3$$,
  $$values ('told 9'), ('told 8'), ('told 5')$$, 'the ends of a flow that says so are told unasked, and of what no worker has none is called off');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
