create function quantumflow.hold_task(run_id uuid, step_slug text, task_index int, lease_token bigint)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $hold_task$
declare
  v_state text;
  v_left  interval;
begin
  -- Lock the task and nothing else: a completion in this transaction takes step and run after it, in order. With another's token lock
  -- nothing: who has the lease is not to wait for it.
  perform
  from quantumflow.step_tasks t
  where (t.run_id, t.step_slug, t.task_index) = (hold_task.run_id, hold_task.step_slug, hold_task.task_index)
    and t.lease_token = hold_task.lease_token
  for update;

  -- Read in a statement after the one that may have waited.
  select l.state, l.deadline - quantumflow._now()
  into v_state, v_left
  from quantumflow._leases(jsonb_build_array(jsonb_build_object(
    'run_id', hold_task.run_id,
    'step_slug', hold_task.step_slug,
    'task_index', hold_task.task_index,
    'lease_token', hold_task.lease_token))) l;

  if v_state <> 'held' then
    return v_state;
  end if;

  if v_left <= interval '0' then
    return 'lost';
  end if;

  perform quantumflow._end_transaction_within(v_left);

  return 'held';
end
$hold_task$;

comment on function quantumflow.hold_task(uuid, text, int, bigint) is
'Begins a task''s own transaction: the caller''s writes, and complete_tasks at its end, then commit together, or not at all.

To be called first, by the holder of the lease; waits for whoever has the task''s row, and with another token for nobody. Returns
held: nobody can take the task away while the transaction is open. Extensions of its lease are answered held; whoever ends its run
goes round it, and the completion then says run_ended: roll back. lost: it is somebody else''s or done, or its deadline has
passed. cancelled: its run has ended. Write nothing unless it is held, and commit only if complete_tasks says completed.

A transaction that is forgotten ends by itself at the task''s deadline: for the rest of it transaction_timeout (PostgreSQL 17 and
newer), statement_timeout and idle_in_transaction_session_timeout are lowered to the time that is left. Before PostgreSQL 17 that
time counts anew from each statement. If the client''s machine vanishes it ends after 25 s.

Errors: none.';

create function quantumflow._end_transaction_within(p_left interval)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_end_transaction_within$
declare
  v_left text := least(ceil(extract(epoch from p_left) * 1000), 2147483647)::text;
  v_name text;
  v_now  text;
begin
  foreach v_name in array array['transaction_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout'] loop
    -- 0 is no limit; null is a setting that this server does not have.
    v_now := current_setting(v_name, true);

    if v_now = '0' or v_now::interval > p_left then
      -- By way of 0, because a timer that runs is not set anew.
      perform set_config(v_name, '0', true);
      perform set_config(v_name, v_left, true);
    end if;
  end loop;

  -- A machine that vanishes does not say so: the server has to ask, and gives up when there is no answer.
  perform set_config('tcp_keepalives_idle', '10', true);
  perform set_config('tcp_keepalives_interval', '5', true);
  perform set_config('tcp_keepalives_count', '3', true);
  perform set_config('tcp_user_timeout', '25000', true);
end
$_end_transaction_within$;

comment on function quantumflow._end_transaction_within(interval) is
'Lets the server end this transaction when so much time has passed, unless it would sooner, and when the client''s machine has not
answered for 25 s. Lasts until the transaction ends.';
