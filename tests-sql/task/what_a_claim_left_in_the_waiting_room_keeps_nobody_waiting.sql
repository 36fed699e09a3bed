begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 5, "steps": [{"name": "a", "type": "map", "limit": "api"}]}');
select quantumflow.set_limit('api', 1);
select quantumflow.start_flow('w', '[1, 2, 3]', priority => 60);

-- As if somebody had held the row when its task was claimed.
create temporary table left_behind as select * from quantumflow._limit_waits where let_go_at is not null;
set local quantumflow.now = '2030-01-01 00:00:01+00';
create temporary table got as select * from quantumflow.claim_tasks(gen_random_uuid(), 10);
insert into quantumflow._limit_waits select * from left_behind;
select is((select array_agg(task_index) from got), '{0}', 'one has the slot');

set local quantumflow.now = '2030-01-01 00:02:00+00';
select outcome from quantumflow.fail_tasks((select jsonb_agg(to_jsonb(g) || '{"error_message": "no", "retry_after": 3600}') from got g));
set local quantumflow.now = '2030-01-01 00:02:01+00';
delete from got;
insert into got select * from quantumflow.claim_tasks(gen_random_uuid(), 10);
select is((select array_agg(task_index) from got), '{1}', 'the next one does not wait until it is tried again');
select quantumflow.complete_tasks((select jsonb_agg(to_jsonb(g) || '{"output": 1}') from got g));
delete from got;
insert into got select * from quantumflow.claim_tasks(gen_random_uuid(), 10);
select is((select array_agg(task_index) from got), '{2}', 'nor does the one after it');
select quantumflow.complete_tasks((select jsonb_agg(to_jsonb(g) || '{"output": 1}') from got g));

set local quantumflow.now = '2030-01-01 01:03:00+00';
delete from got;
insert into got select * from quantumflow.claim_tasks(gen_random_uuid(), 10);
select is((select array_agg(task_index) from got), '{0}', 'and it is tried again in its time');
select is_empty('select * from quantumflow._limit_waits', 'with which the row is gone');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
