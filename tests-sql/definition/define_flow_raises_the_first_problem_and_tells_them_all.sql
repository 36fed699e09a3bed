begin;
select plan(4);

create function pg_temp.attempt(p_definition jsonb, out state text, out message text, out detail text, out hint text)
language plpgsql
as $$
begin
  perform quantumflow.define_flow(p_definition);
exception
  when others then
    get stacked diagnostics
      state = returned_sqlstate, message = message_text, detail = pg_exception_detail, hint = pg_exception_hint;
end
$$;

select results_eq(
  $$
  select a.state, a.message, a.detail
  from pg_temp.attempt('{"slug": "order", "queue": "Q", "steps": [{"name": "b", "dependencies": ["x"], "timeout": 0}]}') a
  $$,
  $$
  values (
    'QF101',
    'timeout must be a number of seconds from 0.001 to 315360000, not 0',
    e'QF101 at steps[0].timeout: timeout must be a number of seconds from 0.001 to 315360000, not 0\n'
    'QF105 at steps[0].dependencies[0]: step "b" depends on unknown step "x"\n'
    'QF110 at queue: queue must be a lower-case letter, then lower-case letters, digits and underscores, at most 47, not "Q"')
  $$,
  'the detail has one line a problem, with its place');

select matches(
  (pg_temp.attempt('{"slug": "order", "steps": [{"name": "b", "dependencies": ["x"]}]}')).hint,
  'quantumflow\.validate_flow',
  'the hint tells of validate_flow');

select throws_ok(
  'select quantumflow.define_flow(null)',
  'QF101', 'the definition must be an object, not null', 'null is refused like that too');

select results_eq(
  $$
  select (select count(*) from quantumflow.workflows), (select count(*) from quantumflow.workflow_versions),
    (select count(*) from quantumflow.workflow_steps), (select count(*) from quantumflow.workflow_step_edges)
  $$,
  'values (0::bigint, 0::bigint, 0::bigint, 0::bigint)',
  'nothing is left behind');

select * from finish();
rollback;
