begin;
select plan(3);

select throws_ok($$select quantumflow.extend_leases(gen_random_uuid(), '[]', '0 s')$$, 'QF303', null, 'none');
select throws_ok($$select quantumflow.extend_leases(gen_random_uuid(), '[]', '2 days')$$, 'QF303', null, 'over a day');
select throws_ok($$select quantumflow.extend_leases(gen_random_uuid(), '[]', null)$$, 'QF303', null, 'null');

select * from finish();
rollback;
