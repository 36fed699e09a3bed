begin;
select plan(9);

-- As the source document prints one.
create function pg_temp.printed() returns jsonb language sql as $$
select '{
  "version": "1.0",
  "title": "My Workflow",
  "steps": [
    {"name": "step1", "type": "task", "command": "cmd1"},
    {"name": "step2", "type": "task", "command": "cmd2",
      "dependencies": ["step1"]}
  ]
}'::jsonb $$;

select results_eq(
  'select d.workflow_slug, d.version, d.definition ->> ''slug'' from quantumflow.define_flow(pg_temp.printed(), ''data'') d',
  $$values ('data' collate "C", 1, 'data')$$,
  'a definition without a slug takes it');
select is(
  (quantumflow.define_flow(pg_temp.printed() || '{"slug": "data"}', 'data')).version, 1, 'the same slug twice is one');
select is(
  (quantumflow.define_flow(definition => pg_temp.printed() || '{"slug": "data"}')).version, 1, 'none beside it changes nothing');

prepare wrong as
select v.code, v.path, v.message
from quantumflow.validate_flow(pg_temp.printed() || '{"slug": "data"}', 'other') v;
select results_eq(
  'wrong', $$values ('QF103', 'slug', 'slug is "data", and workflow_slug is "other"')$$, 'two that differ are a problem');
select throws_ok(
  $$select quantumflow.define_flow(pg_temp.printed() || '{"slug": "data"}', 'other')$$,
  'QF103', 'slug is "data", and workflow_slug is "other"', 'and an error');

select is_empty($$select * from quantumflow.validate_flow(pg_temp.printed(), 'other')$$, 'one that is well is no problem');
select results_eq(
  $$select v.code, v.path from quantumflow.validate_flow(pg_temp.printed(), 'no slug') v$$,
  $$values ('QF103', 'slug')$$, 'one that is none is');
select results_eq(
  $$select v.code, v.path from quantumflow.validate_flow(pg_temp.printed()) v$$,
  $$values ('QF101', 'slug')$$, 'so is none at all');
select results_eq(
  $$select v.code, v.path from quantumflow.validate_flow('["slug"]', 'data') v$$,
  $$values ('QF101', '')$$, 'what is no definition at all is only that');

select * from finish();
rollback;
