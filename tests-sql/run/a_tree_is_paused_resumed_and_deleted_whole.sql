begin;
select plan(23);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "leaf", "steps": [{"name": "work"}, {"name": "nap", "type": "sleep", "seconds": 5, "dependencies": ["work"]}]}');
select quantumflow.define_flow('{"slug": "middle", "steps": [{"name": "leaf", "type": "flow", "flow": "leaf", "timeout": 60, "on_error": "continue"}, {"name": "b"}]}');
select quantumflow.define_flow('{"slug": "top", "steps": [{"name": "middle", "type": "flow", "flow": "middle"}, {"name": "other", "type": "flow", "flow": "leaf"}]}');
select quantumflow.start_flow('top', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.settle();
create temporary view r as
select workflow_slug as flow, parent_step_slug as step, status, paused_with_parent as tree from quantumflow.workflow_runs order by depth nulls first, 1, 2;

-- One was paused by somebody before.
select quantumflow.pause_run((select id from quantumflow.workflow_runs where parent_step_slug = 'other'));
select quantumflow.pause_run('10000000-0000-0000-0000-000000000001', 'wait');
select results_eq('select * from r',
  $$values ('top' collate "C", null::text collate "C", 'paused', null::boolean), ('leaf', 'other', 'paused', null), ('middle', 'middle', 'paused', true), ('leaf', 'leaf', 'paused', true)$$,
  'all of a tree is paused at once');
select is_empty('select from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'nothing of it is handed out');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
set local quantumflow.now = '2030-01-01 00:02:00+00';
select is_empty('select from quantumflow.settle() where settled > 0', 'what has run out of time meanwhile is not looked at');
select quantumflow.resume_run('10000000-0000-0000-0000-000000000001');
select results_eq('select * from r',
  $$values ('top' collate "C", null::text collate "C", 'started', null::boolean), ('leaf', 'other', 'paused', null), ('middle', 'middle', 'started', null), ('leaf', 'leaf', 'started', null)$$,
  'what was paused with it goes on with it, and not what somebody paused');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select quantumflow.settle();
select results_eq($$select kind from quantumflow.task_failures where step_slug = 'leaf'$$, $$values ('timeout')$$, 'the timeout is seen when it is resumed');
select results_eq('select flow, status from r where step = ''leaf''', $$values ('leaf' collate "C", 'cancelled')$$, 'and ends its child');
select quantumflow.resume_run((select id from quantumflow.workflow_runs where parent_step_slug = 'other'));
select results_eq('select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'values (2::bigint)', 'all is handed out that goes on');

-- A child does not go on without its parent.
select quantumflow.pause_run('10000000-0000-0000-0000-000000000001');
select quantumflow.resume_run((select id from quantumflow.workflow_runs where parent_step_slug = 'other'));
select results_eq('select status, tree from r where step = ''other''', $$values ('paused', true)$$, 'a child does not go on while its parent is paused');
select quantumflow.resume_run('10000000-0000-0000-0000-000000000001');

-- Looking.
select results_eq(
  $$select c ->> 'step_slug', c ->> 'workflow_slug', jsonb_array_length(c -> 'children')
    from jsonb_array_elements(quantumflow.status('10000000-0000-0000-0000-000000000001', true, true) -> 'children') c order by 1$$,
  $$values ('middle', 'middle', 1), ('other', 'leaf', 0)$$, 'status tells of the tree when it is asked');

-- Deletion.
select throws_ok(
  $$select quantumflow.delete_run('10000000-0000-0000-0000-000000000001')$$, 'QF213', null, 'a tree of which anything goes on stays');
select quantumflow.complete_task(id, 'b') from quantumflow.workflow_runs where workflow_slug = 'middle';
select quantumflow.complete_task(id, 'work') from quantumflow.workflow_runs where parent_step_slug = 'other';
select results_eq('select settled from quantumflow.settle()', 'values (0)', 'it sleeps');
set local quantumflow.now = '2030-01-01 00:03:00+00';
select results_eq('select settled from quantumflow.settle()', 'values (2)', 'a child that ends by itself ends its parent in the same call');
select results_eq('select status, gave_up from quantumflow.workflow_runs where parent_run_id is null', $$values ('completed', 1)$$, 'whose loss it tells');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select throws_ok(
  $$select quantumflow.delete_run(id) from quantumflow.workflow_runs where workflow_slug = 'middle'$$, 'QF228', null, 'a child goes with its root');
set local quantumflow.now = '2030-01-01 00:04:00+00';
select results_eq(
  $$select workflow_slug, status, runs from quantumflow.prune_preview('0 s') order by 1, 2$$,
  $$values ('leaf', 'cancelled', 1::bigint), ('leaf', 'completed', 1), ('middle', 'completed', 1), ('top', 'completed', 1)$$, 'prune_preview counts trees');
savepoint s;
select quantumflow.delete_run('10000000-0000-0000-0000-000000000001');
select is_empty('select from quantumflow.workflow_runs', 'delete_run takes all of it');
select is_empty('select from quantumflow._trees', 'and its count');
rollback to s;
select results_eq($$select quantumflow.prune('0 s', 1)$$, 'values (4::bigint)', 'and so does prune');
select is_empty('select from quantumflow.step_tasks', 'nothing is left');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
