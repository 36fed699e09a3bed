begin;
select plan(11);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-03-01 10:00:00+00';
select quantumflow.define_flow('{"slug": "w", "timeout": 60, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table c on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), lease => '10 s');
create function pg_temp.report(done numeric, total numeric default 100, note text default null, token bigint default null) returns text language sql as $$
  select quantumflow.report_progress(c.run_id, c.step_slug, c.task_index, coalesce(token, c.lease_token), done, total, note) from c $$;
create function pg_temp.seen() returns text language sql as $$ select detail from quantumflow.why('10000000-0000-0000-0000-000000000001') $$;

select is(pg_temp.report(1), 'held', 'the holder of the lease tells');
select is(right(pg_temp.seen(), 14), '1 of 100 (1 %)', 'why says so');
select is(pg_temp.report(2), 'held', 'again in the same second');
select is(right(pg_temp.seen(), 14), '1 of 100 (1 %)', 'is not written');
set local quantumflow.now = '2030-03-01 10:00:01+00';
select pg_temp.report(50, null, 'half of it, they say');
select is(quantumflow.status('10000000-0000-0000-0000-000000000001') #> '{steps,0,progress}',
  '{"at": "2030-03-01T10:00:01+00:00", "done": 50, "note": "half of it, they say"}', 'status too');
select is(pg_temp.report(60, token => 7), 'lost', 'another token is not the holder''s');
select throws_ok($$select pg_temp.report('NaN')$$, 'QF308', null, 'no number');
select throws_ok($$select pg_temp.report(1, -1)$$, 'QF308', null, 'nor this');
set local quantumflow.now = '2030-03-01 10:00:03+00';
select pg_temp.report(1, note => repeat('x', 10000));
select is((select length(note) from quantumflow.task_progress), 4096, 'a note is cut');

set local quantumflow.now = '2030-03-01 10:00:20+00';
update c set lease_token = n.lease_token from quantumflow.claim_tasks(gen_random_uuid()) n;
select ok(pg_temp.seen() !~ 'of 100', 'the next attempt has said nothing yet');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');
select is(pg_temp.report(2), 'cancelled', 'a run that has ended');

select * from finish();
rollback;
