begin;
select plan(10);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', '"before"', idempotency_key => 'k1');

create temporary table started as
select s.run_id, row_number() over () as n
from quantumflow.start_flows(
  'w', array['1', '2', '3', '4', '5']::jsonb[], 7,
  idempotency_keys => array['k3', null, 'k1', null, 'k3'],
  start_at => array[null, '2030-01-02', null, '2030-01-02', null]::timestamptz[],
  headers => array['{"h": 1}', null, null, '{"h": 2}', null]::jsonb[]) s (run_id);

select results_eq(
  $$
    select r.input, r.idempotency_key, r.priority, r.started_at, r.headers
    from started s
    join quantumflow.workflow_runs r on r.id = s.run_id
    order by s.n
  $$,
  $$
    values
      ('1'::jsonb, 'k3'::text, 7, '2030-01-01 00:00:00+00'::timestamptz, '{"h": 1}'::jsonb),
      ('2', null, 7, '2030-01-02', null),
      ('"before"', 'k1', 0, '2030-01-01', null),
      ('4', null, 7, '2030-01-02', '{"h": 2}'),
      ('1', 'k3', 7, '2030-01-01', '{"h": 1}')
  $$,
  'each has its own, in the order of the inputs; a key that was used is that run');
select is((select count(*)::int from quantumflow.workflow_runs), 4, 'and no run is started twice');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select is(
  (select count(*)::int from quantumflow.start_flows('w', array['1', '2']::jsonb[], headers => array['{}', '{}']::jsonb[])), 2,
  'one of the arguments will do');
select is(
  (select count(*)::int from quantumflow.start_flows('w', '{}', idempotency_keys => '{}')), 0, 'of no inputs comes nothing');

select throws_ok(
  $$select quantumflow.start_flows('w', array['1', '2']::jsonb[], idempotency_keys => '{k}')$$, 'QF206', null,
  'as many keys as inputs');
select throws_ok(
  $$select quantumflow.start_flows('w', array['1', '2']::jsonb[], start_at => '{2030-01-01}')$$, 'QF210', null,
  'as many times');
select throws_ok(
  $$select quantumflow.start_flows('w', array['1', '2']::jsonb[], headers => array['{}']::jsonb[])$$, 'QF208', null,
  'as many headers');
select throws_ok(
  $$select quantumflow.start_flows('w', array['1', '2']::jsonb[], idempotency_keys => array['k', ''])$$, 'QF206', null,
  'a bad one refuses all');
select is((select count(*)::int from quantumflow.workflow_runs), 6, 'and then none is started');

select * from finish();
rollback;
