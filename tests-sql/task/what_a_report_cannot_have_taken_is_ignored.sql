begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "m", "type": "map"}]}');

create temporary table given (n int, spent jsonb) on commit drop;
insert into given
select row_number() over (), s from unnest(array[
  '{"seconds": "NaN"}', '{"seconds": "1"}', '{"seconds": -1}', '{"seconds": 1e300}', '{"seconds": 1e131000}', '{"seconds": null}',
  '{"seconds": {}}', '{"seconds": [1]}', '{"seconds": true}', '{"seconds": "Infinity"}',
  '{"usage": 1}', '{"usage": null}', '{"usage": {}}', '{"usage": []}', '{"usage": {"a": "1"}}', '{"usage": {"a": 1, "b": {"c": 1}}}',
  '{"usage": {"a": -1}}', '{"usage": {"a": 1e19}}', '{"usage": {"a": null}}'
]::jsonb[]) s;
insert into given
select 20, jsonb_build_object('usage', jsonb_object_agg('name' || n, n)) from generate_series(1, 1000) n
union all select 21, '{"seconds": 1e-16000, "usage": {"a": 1e-16000, "b": 0, "c": 1e18}}';

select quantumflow.start_flow('w', (select jsonb_agg(n) from given), run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 100);
set local quantumflow.now = '2030-01-01 00:00:08+00';

select results_eq(
  $$select distinct outcome from quantumflow.fail_tasks((
      select jsonb_agg(to_jsonb(c) || g.spent || '{"retry_after": 1e-16000}') from claimed c join given g on g.n = c.task_index + 1))$$,
  $$values ('retrying')$$, 'every failure is recorded');
select results_eq(
  $$select g.n from quantumflow.task_failures f join given g on g.n = f.task_index + 1
    where f.started_at <> '2030-01-01 00:00:00+00' or f.usage is not null$$,
  $$values (21)$$, 'with neither a time nor a use that makes no sense');

create temporary table again on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 100);
set local quantumflow.now = '2030-01-01 00:00:16+00';
select results_eq(
  $$select distinct outcome from quantumflow.complete_tasks((
      select jsonb_agg(to_jsonb(c) || g.spent || '{"output": 1}') from again c join given g on g.n = c.task_index + 1))$$,
  $$values ('completed')$$, 'and every output');
select results_eq(
  $$select g.n from quantumflow.step_tasks t join given g on g.n = t.task_index + 1
    where t.started_at <> '2030-01-01 00:00:08+00' or t.usage is not null$$,
  $$values (21)$$, 'alike');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
