begin;
select plan(10);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.configure('max_run_depth', '3');
select quantumflow.configure('max_tree_runs', '6');
select quantumflow.define_flow('{"slug": "leaf", "steps": [{"name": "work"}]}');
select quantumflow.define_flow('{"slug": "list", "steps": [{"name": "each", "type": "map"}]}');
select quantumflow.define_flow('{"slug": "gone", "steps": [{"name": "work"}]}');
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "deleted", "type": "flow", "flow": "gone", "on_error": "continue"},
  {"name": "no_array", "type": "flow", "flow": "list", "on_error": "continue"},
  {"name": "nothing", "type": "flow", "flow": "leaf", "input": {"a": "$.run.a"}, "on_error": "continue"},
  {"name": "several", "type": "flow", "flow": "leaf", "input": "$.run.b[*]", "on_error": "continue"},
  {"name": "good", "type": "flow", "flow": "leaf", "output": "$.other", "on_error": "continue"}]}');
select quantumflow.delete_flow('gone');
select quantumflow.start_flow('w', '{"b": [1, 2]}', run_id => '10000000-0000-0000-0000-000000000001');
select results_eq('select settled from quantumflow.settle()', 'values (5)', 'one that cannot start keeps no other from it');
select quantumflow.complete_task(id, 'work') from quantumflow.workflow_runs where parent_run_id is not null;
select results_eq(
  'select step_slug, kind, attempt, regexp_replace(error_message, ''run [0-9a-f]+-[0-9a-f-]+'', ''run R'') from quantumflow.task_failures order by step_slug',
  $$values
    ('deleted' collate "C", 'child', 1, 'its run cannot start: workflow "gone" does not exist (QF111)'),
    ('good', 'condition', 1, 'the output of run R cannot be taken: $.other finds nothing, where it is to find one value'),
    ('no_array', 'child', 1, 'its run cannot start: workflow "list" maps over its input, which must be an array (QF204)'),
    ('nothing', 'condition', 1, 'the input of its run cannot be made: $.run.a finds nothing, where it is to find one value'),
    ('several', 'condition', 1, 'the input of its run cannot be made: $.run.b[*] finds 2 values, where it is to find one value')$$,
  'each says why');
select results_eq(
  'select status, gave_up from quantumflow.workflow_runs where parent_run_id is null', $$values ('completed', 5)$$, 'and its step decides what that means');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

-- A flow that calls itself.
select quantumflow.define_flow('{"slug": "deep", "steps": [{"name": "again", "type": "flow", "flow": "deep"}]}');
select quantumflow.start_flow('deep', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.settle();
select results_eq(
  $$select coalesce(depth, 0), status from quantumflow.workflow_runs where workflow_slug = 'deep' order by 1$$,
  $$values (0, 'failed'), (1, 'failed'), (2, 'failed'), (3, 'failed')$$, 'recursion ends at max_run_depth');
select matches(
  (select error_message from quantumflow.workflow_runs where id = '10000000-0000-0000-0000-000000000002'),
  'the run that step again starts would be 4 runs deep, and max_run_depth allows 3$', 'and says so at the top');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

-- And one that spreads.
select quantumflow.define_flow('{"slug": "wide", "steps": [
  {"name": "a", "type": "flow", "flow": "leaf", "on_error": "continue"}, {"name": "b", "type": "flow", "flow": "leaf", "on_error": "continue"},
  {"name": "c", "type": "flow", "flow": "leaf", "on_error": "continue"}, {"name": "d", "type": "flow", "flow": "leaf", "on_error": "continue"},
  {"name": "e", "type": "flow", "flow": "leaf", "on_error": "continue"}, {"name": "f", "type": "flow", "flow": "leaf", "on_error": "continue"},
  {"name": "g", "type": "flow", "flow": "leaf", "on_error": "continue"}]}');
select quantumflow.start_flow('wide', run_id => '10000000-0000-0000-0000-000000000003');
select quantumflow.settle();
select results_eq(
  $$select status, count(*) from quantumflow.step_tasks where run_id = '10000000-0000-0000-0000-000000000003' group by 1 order by 1$$,
  $$values ('failed', 2::bigint), ('started', 5)$$, 'a tree ends at max_tree_runs');
select matches(
  (select error_message from quantumflow.step_tasks where run_id = '10000000-0000-0000-0000-000000000003' and status = 'failed' limit 1),
  '^the tree of the run that step . starts has 1 runs, and max_tree_runs allows 6$', 'and says so');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
