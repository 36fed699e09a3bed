begin;
select plan(3);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select is_empty($$select * from quantumflow.doctor() where subject = 'identity'$$, 'nothing before the first start');

select quantumflow.start_flow('w');
select results_eq(
  $$select state, advice from quantumflow.doctor() where subject = 'identity'$$,
  $$values ('ok', null::text)$$,
  'after it all is well');

update quantumflow.settings set value = 'elsewhere' where name = 'identity';
select results_eq(
  $$select state, advice from quantumflow.doctor() where subject = 'identity'$$,
  $$values ('error', 'Workers refuse it. If the original is not used any more: select quantumflow.adopt().')$$,
  'until it is copied');

select * from finish();
rollback;
