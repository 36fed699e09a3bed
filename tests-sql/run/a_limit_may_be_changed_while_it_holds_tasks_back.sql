begin;
select plan(15);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "type": "map", "limit": "api"}]}');
select quantumflow.start_flow('w', (select jsonb_agg(n) from generate_series(1, 20) n), run_id => '10000000-0000-0000-0000-000000000001');
create temporary table got as select * from quantumflow.claim_tasks(gen_random_uuid(), 4);
select is((select count(*) from got), 4::bigint, 'a limit that nobody has set holds nothing back');
select is((select running from quantumflow.list_limits()), 4::bigint, 'and yet it is known who runs');
select is_empty('select * from quantumflow._limit_waits', 'nobody waits');

select quantumflow.set_limit('api', 3);
select is_empty('select * from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'those that ran before it was set count');
select is((select waiting from quantumflow.list_limits()), 16::bigint, 'the others wait now');
select count(*) from quantumflow.complete_tasks((select jsonb_agg(to_jsonb(g) || '{"output": 1}') from got g where task_index < 2));
-- However many can be seen.
update pgmq.q_quantum_flow_queue set vt = quantumflow._now() where vt = 'infinity';
insert into got select * from quantumflow.claim_tasks(gen_random_uuid(), 10);
select is((select count(*) from got), 5::bigint, 'one is handed out as two of four end');

select quantumflow.set_limit('api', 0);
select count(*) from quantumflow.complete_tasks((select jsonb_agg(to_jsonb(g) || '{"output": 1}') from got g where task_index < 4));
select is_empty('select * from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'a limit of 0 lets none go');
select quantumflow.set_limit('api', 5);
insert into got select * from quantumflow.claim_tasks(gen_random_uuid(), 10);
select is((select count(*) from got), 9::bigint, 'a higher one lets more go, beside the one that runs');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select ok(quantumflow.remove_limit('api'), 'it is removed');
insert into got select * from quantumflow.claim_tasks(gen_random_uuid(), 100);
select is((select count(*) from got), 20::bigint, 'all go');
select ok(not quantumflow.remove_limit('api'), 'there is none any more');
select results_eq(
  'select what, detail from quantumflow.audit_log where what like ''%limit'' order by entry_id limit 2',
  $$values
    ('set_limit', '{"limit": "api", "at_once": 3}'::jsonb),
    ('set_limit', '{"limit": "api", "at_once": 0, "before": {"at_once": 3}}')$$,
  'who changed it is on record');
select is(
  (select count(*) from quantumflow.complete_tasks((select jsonb_agg(to_jsonb(g) || '{"output": 1}') from got g)) where outcome = 'completed'),
  16::bigint, 'they are completed');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
