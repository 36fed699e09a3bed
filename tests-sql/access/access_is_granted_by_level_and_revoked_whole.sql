begin;
select plan(14);

create role a_role;
create role "a ""quoted"" role";

select throws_ok(
  format('select quantumflow.revoke_access(%L)', current_user), 'QF501', format('role "%s" owns quantumflow', current_user),
  'the owner, whose rights the functions use, keeps them');

select throws_ok(
  $$select quantumflow.grant_access('nobody there', 'viewer')$$, 'QF501', 'role "nobody there" does not exist', 'an unknown role');
select throws_ok(
  $$select quantumflow.grant_access('a_role', 'admin')$$, 'QF502', 'there is no access "admin"', 'an unknown access');
select throws_ok($$select quantumflow.grant_access('a_role', null)$$, 'QF502', 'there is no access "null"', 'none');
select throws_ok($$select quantumflow.grant_access('public', 'viewer')$$, 'QF501', 'role "public" does not exist', 'never everybody');

select is(
  quantumflow.grant_access('a_role', 'worker'),
  'a_role may call claim_tasks, complete_and_claim, complete_tasks, extend_leases, fail_tasks, failed_items, hold_task, '
    || 'left_work, register_worker, release_tasks, report_progress, run_input, settle, step_output, stop_worker, sweep, version',
  'it says what the role may call');
select is(
  quantumflow.grant_access('a "quoted" role', 'author'),
  (
    select 'a "quoted" role may call ' || string_agg(l.function_name, ', ' order by l.function_name collate "C")
    from quantumflow._levels() l
    where l.levels && '{viewer,author}'
  ),
  'an author is a viewer too');
select ok(
  has_table_privilege('a "quoted" role', 'quantumflow.step_tasks', 'select')
    and not has_table_privilege('a_role', 'quantumflow.step_tasks', 'select'),
  'who may read the tables; a worker may not');
select is(
  quantumflow.grant_access('a_role', 'author'),
  (
    select 'a_role may call ' || string_agg(l.function_name, ', ' order by l.function_name collate "C")
    from quantumflow._levels() l
    where l.levels && '{worker,viewer,author}'
  ),
  'a second access is added');

select is(quantumflow.revoke_access('a_role'), 'a_role may call nothing', 'all go at once');
select is(
  quantumflow.grant_access('a_role', 'caller'), 'a_role may call announce_end, execute_goal, goal_status, send_signal, send_signal_by_key, start_flow, start_flows, status, version',
  'an application that only starts runs and asks for them');
select is(quantumflow.revoke_access('a_role'), 'a_role may call nothing', 'and again');
select is(quantumflow.revoke_access('a_role'), 'a_role may call nothing', 'also when there is nothing left');
select ok(not has_schema_privilege('a_role', 'quantumflow', 'usage'), 'the schema is closed to it');
select * from finish();
rollback;
