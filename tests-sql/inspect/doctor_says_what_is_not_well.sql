begin;
select plan(15);

create temporary table before on commit drop as select * from quantumflow.doctor();
select results_eq(
  $$select subject from before$$,
  $$values ('server'), ('fsync'), ('autovacuum'), ('notifications'), ('pgmq'), ('quantumflow'), ('rights'), ('grants'), ('queue quantum_flow_queue'), ('workers'), ('ends')$$,
  'what it looks at');
select is_empty(
  $$select * from before where (state = 'ok') is distinct from (advice is null)$$, 'advice goes with what is not ok');
select results_eq(
  $$select state, fact, advice from before where subject = 'queue quantum_flow_queue'$$,
  $$values ('error', 'the queue does not exist',
    'Run: select quantumflow.setup(); and, if it has had tasks: select * from quantumflow.repair(false).')$$, 'a queue that is missing');

select quantumflow.configure('notify', '0');
select is(
  (select array_agg(fact) from (select * from before union all select * from quantumflow.doctor()) d where subject = 'notifications'),
  array['workers are told of new work; the server''s queue for that is 0 % full',
    'workers are not told of new work; the server''s queue for that is 0 % full'], 'whether workers are told');

insert into quantumflow.settings values ('test_clock', 'on');
select results_eq(
  $$select state, fact from quantumflow.doctor() where subject = 'clock'$$,
  $$values ('warning', 'the test clock is allowed')$$, 'the test clock');

set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
set local quantumflow.now = '2030-01-01 00:04:00+00';
select results_eq(
  $$select state, fact, advice from quantumflow.doctor() where subject = 'queue quantum_flow_queue'$$,
  $$values ('ok', '1 messages visible, 0 hidden, the oldest visible for 00:04:00', null::text)$$, 'what waits in a queue');
drop index pgmq.q_quantum_flow_queue_vt_idx;
select results_eq(
  $$select state, fact, advice from quantumflow.doctor() where subject = 'queue quantum_flow_queue'$$,
  $$values ('warning', '1 messages visible, 0 hidden, the oldest visible for 00:04:00; it has no index on commands, so claims read what '
    'waits of others', 'As the owner of the table: create index on pgmq.q_quantum_flow_queue (hashtext(COALESCE((message ->> ''command''::text), (message ->> ''step_name''::text), '
    '''''::text)), vt);')$$, 'one without its index');
set local quantumflow.now = '2030-01-01 00:06:00+00';

select results_eq(
  $$select state, fact from quantumflow.doctor() where subject = 'workers'$$,
  $$values ('warning', '0 alive')$$, 'tasks and no worker');
select quantumflow.register_worker(gen_random_uuid(), 'me', null, '{quantum_flow_queue}');
select results_eq(
  $$select state, fact from quantumflow.doctor() where subject = 'workers'$$,
  $$values ('ok', '1 alive')$$, 'and with one');

insert into quantumflow._unfinished_ends values ('10000000-0000-0000-0000-000000000001', '2030-01-01 00:00:00+00');
select results_eq(
  $$select state, fact from quantumflow.doctor() where subject = 'ends'$$,
  $$values ('warning', '1 ends of runs unfinished for a minute')$$, 'an end that nobody finishes');

-- A queue as an old dump restores it.
alter table pgmq.q_quantum_flow_queue drop column headers;
select results_eq(
  $$select state, fact, left(advice, 34) from quantumflow.doctor() where subject = 'queue quantum_flow_queue'$$,
  $$values ('error', 'its table is not that of pgmq: it has no headers jsonb', 'A dump of an old pgmq was restored')$$, 'a queue of another shape');

create role a_role;
select quantumflow.grant_access('a_role', 'viewer');
set local session authorization a_role;
select set_config('test.as_viewer', (select row_to_json(d)::text from quantumflow.doctor() d where subject = 'rights'), true);
reset session authorization;
select is(
  current_setting('test.as_viewer')::jsonb, '{"subject": "rights", "state": "ok", "fact": "a_role has access as viewer", "advice": null}',
  'whoever has an access has it whole');

revoke execute on function quantumflow.list_flows from a_role;
set local session authorization a_role;
select set_config('test.as_viewer', (select row_to_json(d)::text from quantumflow.doctor() d where subject = 'rights'), true);
reset session authorization;
select matches(current_setting('test.as_viewer')::jsonb ->> 'fact', '^a_role may not call .*, list_flows, ', 'or is told what is missing');
select matches(
  current_setting('test.as_viewer')::jsonb ->> 'advice', 'select quantumflow.grant_access\(''a_role'', ''viewer''\)', 'and who can help');
select is(
  (select fact from quantumflow.doctor() where subject = 'rights'), session_user || ' may call every public function', 'the owner may do all');

select * from finish();
rollback;
