begin;
select plan(8);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w');
create temporary table claimed as select * from quantumflow.claim_tasks(gen_random_uuid());
select quantumflow.start_flow('w');
update quantumflow.settings set value = 'elsewhere' where name = 'identity';

select throws_ok(
  $$select from quantumflow.claim_tasks(gen_random_uuid())$$, 'QF404', 'this database is a copy of another',
  'whoever claims is refused');
select throws_ok(
  $$select from quantumflow.claim_tasks(gen_random_uuid(), commands => '{}')$$, 'QF404', null,
  'even if it claims no command');
select throws_ok(
  $$select from quantumflow.claim_tasks(gen_random_uuid(), queues => '{gone}')$$, 'QF404', null,
  'even if its queue was not in the dump');
select throws_ok(
  $$
  select from quantumflow.complete_and_claim(
    gen_random_uuid(), (select jsonb_agg(to_jsonb(c) - 'input' || '{"output": 1}') from claimed c))
  $$,
  'QF404', null,
  'whoever reports and claims is refused');
select lives_ok($$select quantumflow.start_flow('w')$$, 'runs can be started');
select lives_ok($$select quantumflow.sweep()$$, 'and swept');

select is(quantumflow.adopt(), quantumflow._identity(), 'adopt() says which database this is');
select is((select count(*)::int from quantumflow.claim_tasks(gen_random_uuid(), 10)), 2, 'and then tasks are handed out');

select * from finish();
rollback;
