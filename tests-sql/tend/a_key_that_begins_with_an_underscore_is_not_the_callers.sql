begin;
select plan(6);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select throws_ok(
  $$select quantumflow.start_flow('w', idempotency_key => '_schedule:nightly@2030-01-01T01:30:00Z')$$, 'QF206',
  'idempotency key "_schedule:nightly@2030-01-01T01:30:00Z" begins with an underscore', 'nobody takes the place of a schedule''s run');
select throws_ok($$select quantumflow.start_flow('w', idempotency_key => '_x')$$, 'QF206', null, 'nor of any that comes later');
select throws_ok(
  $$select quantumflow.start_flows('w', '{1}'::jsonb[], idempotency_keys => '{_x}')$$, 'QF206', null, 'nor with many at once');

-- What was started before that was refused.
select quantumflow.start_flow('w', idempotency_key => 'x');
update quantumflow.workflow_runs set idempotency_key = '_x';
select is(
  quantumflow.start_flow('w', idempotency_key => '_x'), (select id from quantumflow.workflow_runs), 'an old key still finds its run');
update quantumflow.workflow_runs set idempotency_key = '_schedule:s@2030-01-01T01:30:00Z';
select throws_ok(
  $$select quantumflow.start_flow('w', idempotency_key => '_schedule:s@2030-01-01T01:30:00Z')$$, 'QF206', null,
  'a schedule''s run is told to nobody who guesses its key');
select is((select count(*) from quantumflow.workflow_runs), 1::bigint, 'nothing was started');

select * from finish();
rollback;
