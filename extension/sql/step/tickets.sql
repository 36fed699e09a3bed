-- Which of two versions a run gets while other settings are tried, or adopted. For the statistics see learn/advance.sql.

create type quantumflow._ticket as (
  roll      int,
  ticket    bigint,
  is_tuned  boolean,
  is_paired boolean
);

comment on type quantumflow._ticket is 'What a run is to be started with, see _policy_runs; roll is null where no roll was free, and nothing will be learned of it.';

create function quantumflow._take_tickets(p_policy quantumflow.policies, p_count int)
returns quantumflow._ticket[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_take_tickets$
declare
  v_roll  int;
  v_first bigint;
begin
  -- Under the other levels a roll from which somebody has taken since the snapshot would end the call.
  if quantumflow._is_read_committed() then
    update quantumflow._ticket_rolls t
    set taken = t.taken + p_count
    from (
      select l.workflow_slug, l.number, l.roll
      from quantumflow._ticket_rolls l
      where (l.workflow_slug, l.number) = (p_policy.workflow_slug, p_policy.number)
      order by l.roll
      limit 1
      for no key update skip locked
    ) f
    where (t.workflow_slug, t.number, t.roll) = (f.workflow_slug, f.number, f.roll)
    returning t.roll, t.taken - p_count
    into v_roll, v_first;
  end if;

  -- A byte tosses for the pair, two more say whether it is one of the tenth that are compared once the policy is adopted.
  return array(
    select row(
      v_roll, t.ticket,
      case when k.is_paired then get_byte(h.bytes, 0) % 2 = t.ticket % 2 else p_policy.state = 'adopted' end,
      k.is_paired
    )::quantumflow._ticket
    from generate_series(coalesce(v_first, 0), coalesce(v_first, 0) + p_count - 1) t (ticket)
    cross join lateral (
      select sha256(convert_to(format('%s %s %s', p_policy.secret, v_roll, t.ticket / 2), 'UTF8'))
    ) h (bytes)
    cross join lateral (
      select v_roll is not null
        and (p_policy.state = 'trial' or p_policy.state = 'adopted' and (get_byte(h.bytes, 1) * 256 + get_byte(h.bytes, 2)) % 10 = 0)
    ) k (is_paired)
    order by t.ticket);
end
$_take_tickets$;

comment on function quantumflow._take_tickets(quantumflow.policies, int) is
'Tickets for so many runs, from one roll. Two that are a pair get one version each, and nobody who does not know the secret can foretell which: so without a
difference each is the faster one as often as not, whatever disturbs them.';
