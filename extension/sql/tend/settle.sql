create function quantumflow.settle(max_tasks int default 100)
returns table (settled int, next_due timestamptz)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $settle$
declare
  v_now     timestamptz := quantumflow._now();
  v_started int := 0;
  v_next    timestamptz;
begin
  perform quantumflow._require_read_committed('settle');

  if settle.max_tasks is null or settle.max_tasks not between 1 and 10000 then
    raise exception 'max_tasks must be between 1 and 10000'
    using
      errcode = 'QF302',
      detail = format('It is %s.', coalesce(settle.max_tasks::text, 'null')),
      hint = 'Leave it out for 100, and call again when the next one is due.';
  end if;

  v_next := quantumflow._next_schedule(v_now);

  if v_next <= v_now then
    v_started := quantumflow._start_due_schedules(v_now);
    v_next := quantumflow._next_schedule(v_now);
  end if;

  if exists (select from quantumflow._run_turns t where not t.holds) and not quantumflow._is_copy() then
    v_started := v_started + quantumflow._start_turns(settle.max_tasks, v_now);
  end if;

  return query
  select v_started + s.settled, least(s.next_due, v_next)
  from quantumflow._settle(settle.max_tasks, v_now) s;
end
$settle$;

comment on function quantumflow.settle(int) is
'Ends what no worker is given and whose time has come: sleeps, waits whose signal lies there or whose deadline has passed, and runs that take longer
than their run_timeout. Starts the runs of steps that start some, tries those again that have failed, and ends the steps. What waited for them starts. Goes on with goals whose plan is there. And starts the runs that schedules are due, of 100 schedules at most, and those whose turn has come. Never waits: what somebody holds a row of comes back in 100 ms.

max_tasks: at most so many, 1 to 10,000. Returns how many it ended, and runs it started, and when the next one is due: now, if there may be more; null if
nothing waits for a time. Workers call it when they are told, when something is due, and every 5 s; sweep() does as much, for who has no worker.
What cannot be settled comes back in a minute, with a warning, and why() and doctor() tell of it.

In a database that is a copy of another it ends nothing, and says so in a notice: see adopt().

Errors: QF302 bad max_tasks; 0A000 unless the transaction is read committed.';

create function quantumflow._settle(p_max_tasks int, p_now timestamptz)
returns table (settled int, next_due timestamptz)
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_settle$
declare
  v_queue    text := quantumflow._system_queue();
  v_messages quantumflow._message[];
  v_left     int := p_max_tasks;
begin
  settled := 0;

  if quantumflow._is_named(v_queue) and quantumflow._hold_queue(v_queue) is not null then
    if quantumflow._is_copy() then
      raise notice 'this database is a copy of another: nothing is settled in it'
      using hint = 'If the other one is not used any more: select quantumflow.adopt().';
    else
      if exists (select from quantumflow._tree_work) then
        perform quantumflow._work_off_tree(1000, p_now);
      end if;
      if exists (select from quantumflow._unkept_runs) then
        perform quantumflow._delete_unkept(100);
      end if;

      -- A hundred at a time, so that what cannot be settled makes few others be settled one by one.
      while v_left > 0 loop
        v_messages := quantumflow._read_messages(v_queue, null, least(100, v_left), p_now);
        exit when v_messages = '{}';

        settled := settled + quantumflow._settle_guarded(v_messages, p_now);
        v_left := v_left - cardinality(v_messages);
      end loop;

      next_due := case
        when v_left = 0 then p_now
        when exists (select from quantumflow._tree_work) then p_now + interval '100 ms'
        else quantumflow._next_vt(v_queue, p_now)
      end;
    end if;
  end if;

  -- A plan that a goal waits for may just have ended.
  settled := settled + quantumflow._move_goals(p_now);

  return next;
end
$_settle$;

comment on function quantumflow._settle(int, timestamptz) is
'What settle does. p_now: the one clock, also of what it starts.';
