-- What whoever is paged types first, in a database where six things are wrong at once.
begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "gpu", "steps": [{"name": "render", "command": "gpu_render"}]}');
select quantumflow.define_flow('{"slug": "remote", "steps": [{"name": "far", "queue": "far_away"}]}');
select quantumflow.define_flow('{"slug": "billing", "steps": [{"name": "charge", "limit": "stripe", "timeout": 3600}]}');
select quantumflow.define_flow('{"slug": "mail", "steps": [{"name": "send"}]}');
select quantumflow.define_flow('{"slug": "imports", "steps": [{"name": "load", "timeout": 3600}]}');
select quantumflow.define_flow('{"slug": "sync", "steps": [{"name": "pull", "max_attempts": 5, "retry_delay": 1800}]}');
select quantumflow.set_limit('stripe', 1);
select quantumflow.register_worker(
  'a0000000-0000-0000-0000-000000000001', 'app-1', '{charge,send,load,pull,far}', '{quantum_flow_queue}', slots => 4, running => 1);
select quantumflow.register_worker('a0000000-0000-0000-0000-000000000002', 'app-2', '{load}', '{quantum_flow_queue}', slots => 1, running => 1);
select quantumflow.start_flows(f, array['{}', '{}']::jsonb[]) from unnest('{gpu,remote,billing,mail,imports,sync}'::text[]) f;
select quantumflow.pause_flow('mail', 'SMTP is down');
select count(*) from quantumflow.claim_tasks('a0000000-0000-0000-0000-000000000001', 5, commands => '{charge}', lease => '1 hour');
select count(*) from quantumflow.claim_tasks('a0000000-0000-0000-0000-000000000002', 2, commands => '{load}', lease => '1 hour');
select outcome from quantumflow.fail_tasks((
  select jsonb_agg(to_jsonb(c) || '{"error_message": "HTTP 503"}')
  from quantumflow.claim_tasks('a0000000-0000-0000-0000-000000000001', 2, commands => '{pull}') c));

-- Ten minutes later app-1 has been heard of, app-2 has not.
set local quantumflow.now = '2030-01-01 00:10:00+00';
select quantumflow.register_worker(
  'a0000000-0000-0000-0000-000000000001', 'app-1', '{charge,send,load,pull,far}', '{quantum_flow_queue}', slots => 4, running => 1);

select results_eq(
  $$select concat_ws('; ', workflow_slug, command, tasks, reason, detail) collate "C" from quantumflow.why() order by 1$$,
  $$select v collate "C" from (values
    ('billing; charge; 1; running; app-1'),
    ('billing; charge; 1; waits for a limit; stripe'),
    ('gpu; gpu_render; 2; no live worker has its command; queue quantum_flow_queue'),
    ('imports; load; 2; held by a silent worker; app-2'),
    (format('mail; send; 2; paused; workflow mail, by %s: SMTP is down', session_user)),
    ('remote; far; 2; no live worker serves its queue; queue far_away'),
    ('sync; pull; 2; waits before its next attempt; attempt 2 of 5; the last: HTTP 503')) v (v) order by 1$$,
  'each is a line, with its cause');
select set_eq(
  'select workflow_slug from quantumflow.why(only_stuck => true)', '{gpu,remote,imports}'::text[],
  'three of them do not end by themselves, and nobody has wanted them');
select set_eq(
  $$select subject from quantumflow.doctor() where state = 'error' and subject <> 'fsync'$$,
  array['command far', 'command gpu_render'], 'and doctor() asks for the workers that are missing');

select is_empty(
  $$select subject, fact from quantumflow.doctor() where state = 'warning' and subject <> 'clock'$$, 'and has nothing to say of what is paused, or waits its turn');

select * from finish();
rollback;
