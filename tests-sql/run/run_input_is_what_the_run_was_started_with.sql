begin;
select plan(3);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.start_flow('w', '[{"a": 1}, null]', run_id => '10000000-0000-0000-0000-000000000001');

select is(
  quantumflow.run_input('10000000-0000-0000-0000-000000000001'), '[{"a": 1}, null]'::jsonb, 'the whole input');
select throws_ok(
  $$select quantumflow.run_input('10000000-0000-0000-0000-000000000002')$$, 'QF201', null, 'an unknown run is refused');
select throws_ok($$select quantumflow.run_input(null)$$, 'QF201', null, 'null is unknown');

select * from finish();
rollback;
