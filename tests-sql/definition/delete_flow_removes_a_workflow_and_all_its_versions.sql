begin;
select plan(6);

select lives_ok(
  $$
  select quantumflow.define_flow('{"slug": "order", "on_failure": "alarm", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');
  update quantumflow.workflow_versions set frozen_at = now();
  select quantumflow.define_flow('{"slug": "order", "steps": [{"name": "b"}, {"name": "a", "dependencies": ["b"]}]}');
  select quantumflow.define_flow('{"slug": "other", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');
  select quantumflow.create_flow('built')
  $$,
  'a workflow of two versions, another, and one that is still being built');

select is(quantumflow.delete_flow('order'), true, 'true when something was deleted');
select is(quantumflow.delete_flow('order'), false, 'false when there was nothing');
select is(quantumflow.delete_flow('built'), true, 'a workflow without steps can be deleted');

select results_eq(
  $$
  select
    (select array_agg(w.workflow_slug) from quantumflow.workflows w)::text,
    (select array_agg(v.workflow_slug) from quantumflow.workflow_versions v)::text,
    (select array_agg(s.workflow_slug) from quantumflow.workflow_steps s)::text,
    (select array_agg(e.workflow_slug) from quantumflow.workflow_step_edges e)::text
  $$,
  $$
  values ('{other}' collate "C", '{other}' collate "C", '{other,other}' collate "C", '{other}' collate "C")
  $$,
  'only the other is left');

select throws_ok($$select quantumflow.get_flow('order')$$, 'QF111', null, 'and it is not found');

select * from finish();
rollback;
