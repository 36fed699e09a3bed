create function quantumflow.sweep()
returns table (action text, tasks int)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $sweep$
declare
  v_now      timestamptz := quantumflow._now();
  v_queue    text;
  v_messages quantumflow._message[];
  v_lapsed   int := 0;
begin
  for v_queue in
    select q.queue
    from quantumflow._known_queues() q (queue)
  loop
    v_messages := quantumflow._read_strays(v_queue, v_now);

    if v_messages <> '{}' then
      perform quantumflow._sort_out(v_queue, v_messages, quantumflow._hold_messages(v_queue, v_messages, '{}'), v_now);
    end if;

    -- What is settled has no lease that could run out.
    continue when v_queue = quantumflow._system_queue();

    v_messages := quantumflow._read_lapsed(v_queue, v_now);
    continue when v_messages = '{}';

    v_lapsed := v_lapsed + quantumflow._settle_lapsed(
      v_queue,
      array(
        select h
        from unnest(quantumflow._hold_messages(v_queue, v_messages)) h
        where h.outcome in ('lost', 'timeout')),
      v_now);
  end loop;

  if exists (select from quantumflow._limit_slots) or exists (select from quantumflow._limit_waits) then
    perform quantumflow._sweep_limits(v_now);
  end if;

  if exists (select from quantumflow._run_turns t where not t.holds) and quantumflow._is_read_committed() and not quantumflow._is_copy() then
    perform quantumflow._start_turns(1000, v_now);
  end if;

  if exists (select from quantumflow.policies p where p.state in ('observing', 'trial', 'adopted')) then
    perform quantumflow._advance_policies(v_now);
  end if;

  if exists (select from quantumflow.settings s where (s.name, s.value) = ('optimization.enabled', 'true')) and quantumflow._is_read_committed()
    and not quantumflow._is_copy()
  then
    perform quantumflow._optimize_next(v_now);
  end if;

  return query
  values
    ('lapsed leases', v_lapsed),
    ('unfinished ends', quantumflow._finish_ends(1000, v_now)),
    ('schedules', quantumflow._start_due_schedules(v_now));

  perform quantumflow._bring_back_resumed(v_now);

  if quantumflow._is_named(quantumflow._system_queue()) and quantumflow._is_read_committed() then
    return query
    select 'settled', s.settled
    from quantumflow._settle(1000, v_now) s;
  end if;

  if quantumflow._is_read_committed() then
    perform quantumflow._count_runs(v_now);
  end if;
end
$sweep$;

comment on function quantumflow.sweep() is
'Does what nobody else would notice: ends attempts whose lease ran out while nobody claims from their queue, and finishes the
ends of runs that had to leave something; lets those go that a limit holds back, and whose turn has come without a word; starts the runs that schedules are due, of 100 schedules at most; and ends what no worker is given
and whose time has come, as settle() does, 1,000 of it, if the transaction is read committed. Then too it counts in step_hours the runs
that have ended, once a minute or as long as there are more, 2,000 of them. Where optimization.enabled is on it optimizes workflows, each once a day. Never waits.

Claims do their share of it, so this matters when there are no claims. Of a queue it looks at 10,000 messages, an equal share for each
command, those that have been visible longest: claims come to the rest in turn. Messages that name no command, or one that no step has,
which claims do not look for, are sorted out: what is no task''s goes to pgmq''s archive, with a warning. Any worker or pg_cron may call it, every few seconds.
Returns what it did, with how many: tasks for "lapsed leases", runs for "unfinished ends" and for "schedules", tasks for "settled", where
anything of that kind has been defined.

Errors: none.';
