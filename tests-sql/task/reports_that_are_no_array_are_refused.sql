begin;
select plan(10);

select throws_ok($$select quantumflow.complete_tasks('{}')$$, 'QF301', 'results must be a JSON array', 'an object');
select throws_ok($$select quantumflow.complete_tasks(null)$$, 'QF301', null, 'null');
select throws_ok($$select quantumflow.complete_tasks('null')$$, 'QF301', null, 'JSON null');
select throws_ok($$select quantumflow.fail_tasks('1')$$, 'QF301', 'results must be a JSON array', 'fail_tasks');
select throws_ok(
  $$select quantumflow.extend_leases(gen_random_uuid(), '"x"', '1 s')$$, 'QF301', 'tasks must be a JSON array', 'extend_leases');
select throws_ok($$select quantumflow.release_tasks('true')$$, 'QF301', 'tasks must be a JSON array', 'release_tasks');
select is_empty($$select quantumflow.complete_tasks('[]')$$, 'an empty one is fine');
select is_empty($$select quantumflow.fail_tasks('[]')$$, 'for all');
select is_empty($$select quantumflow.extend_leases(gen_random_uuid(), '[]', '1 s')$$, 'four');
select is(quantumflow.release_tasks('[]'), 0, 'of them');

select * from finish();
rollback;
