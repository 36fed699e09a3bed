begin;
select plan(3);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => ('10000000-0000-0000-0000-00000000000' || n)::uuid) from generate_series(1, 2) n;
select quantumflow.pause_flow('w');
select quantumflow.claim_tasks(gen_random_uuid(), 10);
select is((select waiting from quantumflow.list_pauses()), 2::bigint, 'what a claim has met waits for the resume');

select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');
select is((select waiting from quantumflow.list_pauses()), 1::bigint, 'what is cancelled does not');
select is(quantumflow.resume_flow('w'), 1::bigint, 'and the other one comes back');

select * from finish();
rollback;
