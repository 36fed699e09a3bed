begin;
select plan(5);

select quantumflow.configure('max_output_bytes', '1000');
select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "on_failure": "mourn", "steps": [{"name": "a"}, {"name": "b"}]}');
select quantumflow.define_flow('{"slug": "mapped", "steps": [
  {"name": "a"}, {"name": "each", "type": "map", "dependencies": ["a"], "chunk_size": 2}]}');

create temporary table answers (report text, answer quantumflow.task_outcome) on commit drop;

create function pg_temp.claimed(p_command text, p_flow text default 'w', p_input jsonb default '{}')
returns jsonb
language plpgsql
as $claimed$
declare
  v_run  uuid;
  v_task jsonb;
begin
  if p_command <> 'mourn' then
    v_run := quantumflow.start_flow(p_flow, p_input);
  end if;

  select to_jsonb(c) into strict v_task from quantumflow.claim_tasks(gen_random_uuid(), commands => array[p_command]) c;
  return v_task - 'input';
end
$claimed$;

create function pg_temp.report(p_report text, p_verb text, p_task jsonb, p_more jsonb default '{}')
returns jsonb
language plpgsql
as $report$
begin
  if p_verb = 'complete' then
    insert into answers select p_report, o from quantumflow.complete_tasks(jsonb_build_array(p_task || p_more)) o;
  else
    insert into answers select p_report, o from quantumflow.fail_tasks(jsonb_build_array(p_task || p_more)) o;
  end if;

  return p_task;
end
$report$;

select pg_temp.report('again', 'complete', pg_temp.report('done', 'complete', pg_temp.claimed('a')));
select pg_temp.report('of nobody', 'complete', pg_temp.claimed('a'), '{"lease_token": 1}');
select pg_temp.report('of nothing', 'fail', pg_temp.claimed('a'), '{"task_index": 7}');
select pg_temp.report('no array', 'complete', pg_temp.claimed('a', 'mapped'), '{"output": 5}');
select pg_temp.report('too large', 'complete', pg_temp.claimed('a', 'mapped'), jsonb_build_object('output', repeat('x', 1000)));
select pg_temp.report('for good', 'fail', pg_temp.claimed('a'), '{"error_message": "no luck"}');
select pg_temp.report('a callback', 'fail', pg_temp.claimed('mourn'), '{"error_message": "no tears"}');

create temporary table late on commit drop as select pg_temp.claimed('a') as a, pg_temp.claimed('a') as b;
select quantumflow.cancel_run((a ->> 'run_id')::uuid) from late;
select quantumflow.fail_task((b ->> 'run_id')::uuid, 'b', retryable => false) from late;
select pg_temp.report('cancelled', 'complete', a) from late;
select pg_temp.report('failed beside', 'fail', b) from late;

select results_eq(
  $$select report, (answer).outcome, (answer).reason, (answer).detail from answers order by report collate "C"$$,
  $$
  values
    ('a callback', 'failed', 'callback_failed', 'no tears'),
    ('again', 'duplicate', 'reported_before', 'this attempt was reported before'),
    ('cancelled', 'run_ended', 'run_cancelled', 'its run was cancelled'),
    ('done', 'completed', null, null),
    ('failed beside', 'run_ended', 'run_failed', 'its run has failed'),
    ('for good', 'failed', 'run_failed', 'no luck'),
    ('no array', 'type_violation', 'run_failed', 'the output must be an array, because a map maps over it, but is JSON of type number (QF305)'),
    ('of nobody', 'stale', 'lease_lost', 'the lease is not the caller''s: another attempt has the task, or its time was over'),
    ('of nothing', 'stale', 'unknown_task', 'there is no such task'),
    ('too large', 'failed', 'run_failed', 'the output has 1012 bytes, and 1000 are allowed (QF309)')
  $$,
  'each has its reason, and what the database has to say');

-- A chunk whose output is one short, in the call that claims too.
select quantumflow.start_flow('mapped', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', 0, '[1, 2]');
select results_eq(
  $$
  select o.outcome, o.reason, o.detail
  from quantumflow.claim_tasks(gen_random_uuid(), commands => '{each}') c
  cross join lateral quantumflow.complete_and_claim(
    gen_random_uuid(), jsonb_build_array(to_jsonb(c) || '{"output": [1]}'), commands => '{each}') o
  $$,
  $$values ('type_violation', 'run_failed', 'the output must be an array of 2, one for each item of the chunk, but is one of 1 (QF305)')$$,
  'complete_and_claim says the same');
select is(
  (select error_message from quantumflow.step_tasks where (step_slug, task_index) = ('each', 0)),
  'the output must be an array of 2, one for each item of the chunk, but is one of 1 (QF305)',
  'and it is what the task has');

select quantumflow.start_flow('w');
select is_empty(
  $$select from quantumflow.complete_and_claim(gen_random_uuid(), '[]') where outcome is null and (reason, detail) is distinct from (null, null)$$,
  'a task that is handed out has neither');

select set_eq(
  $$
  select m[1]
  from pg_proc p
  cross join regexp_matches(pg_get_functiondef(p.oid), '(?:then|else) ''([a-z]+_[a-z_]+)''', 'gi') m
  where p.oid in ('quantumflow._reason_of'::regproc, 'quantumflow._if_failed'::regproc)
  $$,
  $$
  select m[1]
  from regexp_matches(
    col_description('quantumflow.task_outcome'::regclass, 5), '\m(\w+_\w+)\M', 'g') m
  where m[1] <> 'type_violation' and m[1] <> 'run_ended'
  $$,
  'the words are those that the manual lists');

select * from finish();
rollback;
