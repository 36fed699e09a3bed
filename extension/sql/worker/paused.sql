-- What is paused is left out of what a worker offers: of a queue, or a command, nothing is read then, however much waits. Of a flow what a
-- claim meets is parked.

create function quantumflow._open_offer(p_offer quantumflow._offer)
returns quantumflow._offer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_open_offer$
declare
  v_recorded text;
  v_paused   boolean;
begin
  -- One statement for both, since each has its price.
  select
    (select s.value from quantumflow.settings s where s.name = 'identity'),
    exists (select from quantumflow.pauses)
  into v_recorded, v_paused;

  if v_recorded <> quantumflow._identity() then
    perform quantumflow._raise_copy(v_recorded);
  end if;

  if v_paused then
    return quantumflow._without_paused(p_offer);
  end if;

  return p_offer;
end
$_open_offer$;

comment on function quantumflow._open_offer(quantumflow._offer) is
'What an offer comes to in this database now: without what is paused; refused in one that was copied from the one where its runs were started.

Errors: QF404 when it is a copy.';

create function quantumflow._without_paused(p_offer quantumflow._offer)
returns quantumflow._offer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_without_paused$
declare
  v_queues   text[] := quantumflow._paused('queue');
  v_commands text[] := quantumflow._paused('command');
begin
  v_queues := array(
    select k.queue
    from unnest(p_offer.queues) with ordinality k (queue, n)
    where k.queue <> all (v_queues)
    order by k.n);

  if v_commands <> '{}' then
    v_commands := array(
      select k.command
      from unnest(coalesce(p_offer.commands, quantumflow._lanes_of_all(v_queues))) k (command)
      where k.command <> all (v_commands));
  else
    v_commands := p_offer.commands;
  end if;

  return row(
    p_offer.worker_id, p_offer.free, v_queues, p_offer.lease, v_commands, p_offer.held, p_offer.quiet, p_offer.taken,
    nullif(quantumflow._paused('workflow'), '{}')
  )::quantumflow._offer;
end
$_without_paused$;

comment on function quantumflow._without_paused(quantumflow._offer) is
'An offer without the queues and commands that are paused; of which flows it is to have nothing. Where a command is paused the offer of all commands is
that of all others.';

create function quantumflow._paused(p_kind text)
returns text[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_paused$
begin
  return array(
    select p.name
    from quantumflow.pauses p
    where p.kind = p_kind
    order by p.name);
end
$_paused$;

comment on function quantumflow._paused(text) is 'The names of the queues, flows or commands that are paused. p_kind: queue, workflow or command.';

create function quantumflow._lanes_of_all(p_queues text[])
returns text[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_lanes_of_all$
begin
  return array(
    select distinct l.lane
    from unnest(p_queues) q (queue)
    cross join lateral unnest(quantumflow._lanes_of(q.queue)) l (lane));
end
$_lanes_of_all$;

comment on function quantumflow._lanes_of_all(text[]) is 'The lanes of some queues, each once.';
