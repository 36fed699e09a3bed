-- Without a default for p_held: a claim of 0.3.0 that an update overtakes does not find it (42883), and its worker claims again.

create function quantumflow._bad_offer(
  p_flaw     text,
  p_quantity int,
  p_queues   text[],
  p_commands text[],
  p_held     int)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_bad_offer$
begin
  case p_flaw
    when 'worker_id' then
      raise exception 'worker_id must not be null'
      using
        errcode = 'QF304',
        detail = 'The worker_id is null.',
        hint = 'Any uuid does: gen_random_uuid() for example.';
    when 'quantity' then
      raise exception 'quantity must be between 1 and 10000'
      using
        errcode = 'QF302',
        detail = format('The quantity is %s.', coalesce(p_quantity::text, 'null')),
        hint = 'Claim as many tasks as can be started at once.';
    when 'held' then
      raise exception 'held must not be negative'
      using
        errcode = 'QF302',
        detail = format('It is %s.', coalesce(p_held::text, 'null')),
        hint = 'It is how many tasks the worker has that it has not reported; leave it out for 0.';
    when 'queues' then
      raise exception 'queues must name at least one queue'
      using
        errcode = 'QF401',
        detail = format('The queues are %s.', coalesce(p_queues::text, 'null')),
        hint = 'Leave queues out for the default one, quantum_flow_queue.';
    when 'system queue' then
      raise exception 'queue "%" has nothing for workers', quantumflow._system_queue()
      using
        errcode = 'QF407',
        detail = 'In it is what waits for a time or a signal.',
        hint = 'Leave it out: quantumflow.settle(), which workers call by themselves, serves it.';
    else
      raise exception 'a worker serves at most 1000 queues and 10000 commands'
      using
        errcode = 'QF302',
        detail = format('These are %s queues and %s commands.', cardinality(p_queues), coalesce(cardinality(p_commands), 0)),
        hint = 'Leave commands out for all of them; let several workers share the queues.';
  end case;
end
$_bad_offer$;

comment on function quantumflow._bad_offer(text, int, text[], text[], int) is
'Says what is wrong with an offer.

Errors: QF302 bad quantity, or held, or too many queues or commands; QF304 no worker_id; QF401 no queue; QF407 the queue of what waits.';

create function quantumflow._checked_offer(
  p_worker_id  uuid,
  p_quantity   int,
  p_queues     text[],
  p_lease      interval,
  p_commands   text[],
  p_held       int,
  p_all_queues boolean default false)
returns quantumflow._offer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_checked_offer$
declare
  -- One expression for all, since each has its price.
  v_flaw     text := case
    when p_worker_id is null then 'worker_id'
    when p_quantity is null or p_quantity not between 1 and 10000 then 'quantity'
    when p_held is null or p_held < 0 then 'held'
    when p_queues is null or cardinality(p_queues) = 0 then 'queues'
    when cardinality(p_queues) > 1000 or cardinality(p_commands) > 10000 then 'too many'
    when quantumflow._system_queue() = any (p_queues) then 'system queue'
  end;
  v_queue    text;
  v_queues   text[] := array[]::text[];
  v_unusable text;
begin
  if v_flaw is not null then
    perform quantumflow._bad_offer(v_flaw, p_quantity, p_queues, p_commands, p_held);
  end if;

  -- This takes every element, also of an array of several dimensions.
  foreach v_queue in array p_queues loop
    if quantumflow._is_named(v_queue) and quantumflow._hold_queue(v_queue) is not null then
      v_queues := v_queues || v_queue;
    elsif v_unusable is null then
      v_unusable := v_queue;
    end if;
  end loop;

  -- A queue that is gone keeps nobody from the others.
  if v_queues = '{}' or (p_all_queues and v_unusable is not null) then
    -- Of a copy that has not all of them there is something else to be said.
    perform quantumflow._refuse_copy();
    perform quantumflow._raise_unusable_queue(v_unusable);
  end if;

  return row(
    p_worker_id, p_quantity, v_queues, quantumflow._checked_lease(p_lease), p_commands, p_held, '{}', '{}', null
  )::quantumflow._offer;
end
$_checked_offer$;

comment on function quantumflow._checked_offer(uuid, int, text[], interval, text[], int, boolean) is
'What a worker that claims offers to do, whose queues are held then; refuses arguments with which nothing can be claimed. Queues that
cannot be used are left out, unless there is no other, or p_all_queues.

Errors: QF302 bad quantity, or held, or too many queues or commands; QF303 bad lease; QF304 no worker_id; QF401 unknown queue;
QF403 a queue that is somebody else''s; QF404 the database is a copy, and has not these queues; QF407 the queue of what waits.';

create function quantumflow._refuse_lease(p_lease interval)
returns interval
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_lease$
begin
  raise exception 'lease must be between 1 ms and 1 day'
  using
    errcode = 'QF303',
    detail = format('The lease is %s.', coalesce(p_lease::text, 'null')),
    hint = 'Take a short one, 30 s for example, and extend it while the work goes on.';
end
$_refuse_lease$;

comment on function quantumflow._refuse_lease(interval) is
'Says what is wrong with a lease.

Errors: QF303 always.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._checked_lease(p_lease interval)
returns interval
language sql
stable
return case
  when extract(epoch from p_lease) between 0.001 and 86400 then quantumflow._as_seconds(p_lease)
  else quantumflow._refuse_lease(p_lease)
end;

comment on function quantumflow._checked_lease(interval) is
'The lease that it is given, in seconds, if it is a length of time to work in.

Errors: QF303 when it is outside 1 ms to 1 day.';

create function quantumflow._stirred(p_offer quantumflow._offer)
returns quantumflow._offer
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_stirred$
begin
  p_offer.quiet := '{}';

  return p_offer;
end
$_stirred$;

comment on function quantumflow._stirred(quantumflow._offer) is
'The offer of a worker in none of whose queues it is known that nothing is visible.';
