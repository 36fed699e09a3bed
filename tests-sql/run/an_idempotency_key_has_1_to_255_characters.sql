begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "one", "steps": [{"name": "a"}]}');

select throws_ok($$select quantumflow.start_flow('one', idempotency_key => '')$$, 'QF206', null, 'not empty');
select throws_ok(
  $$select quantumflow.start_flow('one', idempotency_key => repeat('x', 256))$$, 'QF206', null, 'not longer');
select is_empty('select from quantumflow.workflow_runs', 'nothing was started');
select lives_ok($$select quantumflow.start_flow('one', idempotency_key => repeat('ä', 255))$$, '255 are fine');

select * from finish();
rollback;
