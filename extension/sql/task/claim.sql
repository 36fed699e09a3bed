create function quantumflow.claim_tasks(
  worker_id uuid,
  quantity  int default 1,
  queues    text[] default '{quantum_flow_queue}',
  lease     interval default '300 s',
  commands  text[] default null,
  held      int default 0)
returns setof quantumflow.claimed_task
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $claim_tasks$
declare
  v_now   timestamptz := quantumflow._now();
  v_offer quantumflow._offer;
begin
  v_offer := quantumflow._open_offer(quantumflow._checked_offer(
    claim_tasks.worker_id, claim_tasks.quantity, claim_tasks.queues, claim_tasks.lease, claim_tasks.commands, claim_tasks.held));

  return query
  select *
  from quantumflow._claim_and_hand_out(v_offer, v_now);
end
$claim_tasks$;

comment on function quantumflow.claim_tasks(uuid, int, text[], interval, text[], int) is
'Hands out up to quantity tasks, each to one claimer, and nothing when there is none. Never waits.

worker_id: any uuid of the worker''s own; it need not be registered.
quantity: 1 to 10,000 tasks.
queues: at most 1,000, served in the order given, without those that are gone while there is another; within one, what has been visible longest first.
lease: how long the tasks are the worker''s, 0.001 s to 1 day; the step''s timeout caps it. See extend_leases.
commands: only tasks of these commands, at most 10,000, whatever else waits in the queues. Null: all; {}: none. Nothing handed out means
that nothing of them is visible that nobody holds.
held: how many tasks the worker has already and has not reported; see below.

Each row holds the task''s input ({"run", <dependency>: output} for a single step, {"item", "index"} for a map task,
{"run", "output"} or {"run", "error", "failure"} for a callback), the deadline (timeout after now) and the lease_token that a report must show.
A task that was lost before comes alone, and only to a worker that holds none: what killed one worker shall not take others'' tasks
along. One that has waited for 5 s for such a worker lets those that hold tasks claim nothing more until it is taken. Of a queue, a command or a flow that is paused nothing is handed out. Leases that have run out are found here: they count as lost, or, if they lasted to the
deadline, as a failure of kind timeout. A task whose input cannot be one jsonb value (256 MB) fails, with QF308 in its error_message.

Errors: QF302 bad quantity, or held, or too many queues or commands; QF303 bad lease; QF304 no worker_id; QF401 unknown queue; QF403 a queue that is somebody
else''s, or that quantumflow has not made; QF404 the database is a copy of the one where its runs were started; QF407 the queue of what waits.';

create function quantumflow._claim_and_hand_out(p_offer quantumflow._offer, p_now timestamptz)
returns setof quantumflow.claimed_task
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_claim_and_hand_out$
declare
  v_passed  bigint;
  v_is_done boolean := coalesce(p_offer.commands = '{}', false) or p_offer.free = cardinality(p_offer.taken);
  v_found   quantumflow._catch := row('{}', p_offer.taken);
begin
  if p_offer.commands is distinct from '{}' then
    if exists (select from quantumflow._unfinished_ends) then
      perform quantumflow._finish_ends(10, p_now);
    end if;

    perform quantumflow._worker_seen(p_offer.worker_id, p_now);
  end if;

  if not v_is_done and p_offer.queues = '{quantum_flow_queue}' and p_offer.quiet = '{}' then
    v_passed := quantumflow._entries_read('quantum_flow_queue');

    -- It returns all that it returns, or nothing, so nothing was returned before an error.
    begin
      return query
      select *
      from quantumflow._claim_at_once(p_offer, p_now);

      v_is_done := true;
    exception
      when no_data_found or program_limit_exceeded or out_of_memory or internal_error then
        -- There is something to be said against a task, or its input is larger than a jsonb value may be, or than there is memory for.
        -- Nothing has been claimed.
        v_is_done := false;
    end;

    if v_is_done and quantumflow._entries_read('quantum_flow_queue') - v_passed > 2000 then
      perform quantumflow._oldest_vt('quantum_flow_queue', p_offer.commands, p_now);
    end if;
  end if;

  if not v_is_done then
    v_found := quantumflow._claim(p_offer, p_now);
  end if;

  if v_found.plain <> '{}' or v_found.taken <> '{}' then
    return query
    select *
    from quantumflow._hand_out_all(v_found, p_offer.lease, p_now);
  end if;
end
$_claim_and_hand_out$;

comment on function quantumflow._claim_and_hand_out(quantumflow._offer, timestamptz) is
'Claims as many tasks as the offer has room for, counting those it has been given, and hands them all out. Finishes ends that were left
unfinished before, and notes that the worker was seen.';

create function quantumflow._claim(p_offer quantumflow._offer, p_now timestamptz)
returns quantumflow._catch
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_claim$
declare
  v_found    quantumflow._catch := row('{}', p_offer.taken);
  v_count    int := cardinality(p_offer.taken);
  v_before   int;
  v_queue    text;
  v_read     int;
  v_looked   int;
  v_messages quantumflow._message[];
  v_left     quantumflow._message[];
  v_more     quantumflow._catch;
begin
  -- Rounds, because a message that was read may turn out not to be claimable; nearly always there is one.
  foreach v_queue in array p_offer.queues loop
    continue when v_queue = any (p_offer.quiet);

    v_looked := 0;
    v_read := p_offer.free - v_count;

    while v_count < p_offer.free and v_looked < 100000 loop
      v_messages := quantumflow._read_messages(v_queue, p_offer.commands, v_read, p_now);
      -- Messages that come again, as they were, are left to others.
      exit when v_messages = '{}' or v_messages = v_left;

      v_left := v_messages;
      v_looked := v_looked + cardinality(v_messages);
      v_more := quantumflow._claim_messages(v_queue, v_messages, v_found, p_offer, p_now);

      -- A task that was lost before waits until a worker has nothing else, so this one claims nothing more.
      if v_more is null then
        return v_found;
      end if;
      v_found := v_more;
      v_before := v_count;
      v_count := cardinality(v_found.plain) + cardinality(v_found.taken);

      -- A task lost before goes out alone.
      exit when v_found.taken[1].losses > 0;
      exit when cardinality(v_messages) < v_read and v_count > 0;

      -- After a round that found nothing but what is to be sorted out, or left to others, more at once.
      v_read := case v_count
        when v_before then least(10 * v_read, 10000)
        else p_offer.free - v_count
      end;
    end loop;

    exit when v_found.taken[1].losses > 0 or v_count = p_offer.free;
  end loop;

  return v_found;
end
$_claim$;

comment on function quantumflow._claim(quantumflow._offer, timestamptz) is
'Claims as many tasks as the offer has room for, counting those it has been given, and returns them all. Queues that were found
quiet when these were handed over are not looked into again.';
