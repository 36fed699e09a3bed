-- What runs under a policy have shown, and what follows from it.

create type quantumflow._policy_run as (
  run_id    uuid,
  roll      int,
  pair      bigint,
  is_tuned  boolean,
  is_paired boolean,
  seconds   double precision,
  has_ended boolean,
  is_good   boolean,
  spoiled   text,
  is_blamed boolean
);

comment on type quantumflow._policy_run is
'A run under a policy: how long it has taken, from when its first step could be claimed; whether it completed; what somebody did to it, or it did, that makes
its time say nothing; is_blamed: an attempt timed out or was lost, which settings may have caused.';

create function quantumflow._runs_under(p_policy quantumflow.policies, p_now timestamptz)
returns setof quantumflow._policy_run
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_runs_under$
begin
  return query
  select
    p.run_id, p.roll, p.ticket / 2, p.is_tuned, p.is_paired,
    extract(epoch from coalesce(r.completed_at, r.failed_at, r.cancelled_at, p_now) - r.started_at)::double precision,
    coalesce(r.status in ('completed', 'failed', 'cancelled'), true),
    coalesce(r.status = 'completed', false),
    case
      when r.id is null then 'deleted'
      when r.status = 'cancelled' then 'cancelled'
      when r.retries > 0 then 'retried'
      when r.paused_at is not null then 'paused'
      when r.gave_up > 0 then 'ended without a step'
    end,
    coalesce(r.status = 'failed', false)
      and exists (select from quantumflow.task_failures f where f.run_id = p.run_id and f.kind in ('timeout', 'lost'))
  from (
    select *
    from quantumflow._policy_runs l
    where (l.workflow_slug, l.number) = (p_policy.workflow_slug, p_policy.number)
    order by l.run_id
    limit 1000
  ) p
  left join lateral (
    select *
    from quantumflow.workflow_runs l
    where l.id = p.run_id
    limit 1
  ) r on true;
end
$_runs_under$;

comment on function quantumflow._runs_under(quantumflow.policies, timestamptz) is
'The runs of which a policy has not learned yet, at most 1,000, the oldest ones.';

create function quantumflow._pairs_under(p_policy quantumflow.policies, p_now timestamptz)
returns table (base quantumflow._policy_run, tuned quantumflow._policy_run, outcome text, reason text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_pairs_under$
begin
  return query
  with run as materialized (
    select r.*, r as whole
    from quantumflow._runs_under(p_policy, p_now) r
    where r.is_paired
  )
  select
    b.whole, t.whole,
    case
      when coalesce(b.spoiled, t.spoiled) is not null then 'dropped'
      when b.is_good and t.is_good then case sign(b.seconds - t.seconds) when 1 then 'won' when -1 then 'lost' else 'dropped' end
      when b.has_ended and t.has_ended then
        case
          when b.is_good and t.is_blamed then 'lost'
          when t.is_good and b.is_blamed then 'won'
          else 'dropped'
        end
      when b.is_good and t.seconds > 3 * b.seconds then 'lost'
      when t.is_good and b.seconds > 3 * t.seconds then 'won'
    end,
    case
      when coalesce(b.spoiled, t.spoiled) is not null then 'a run was ' || coalesce(b.spoiled, t.spoiled)
      when b.is_good and t.is_good then case when b.seconds = t.seconds then 'they took the same time' end
      when not (b.has_ended and t.has_ended) then 'the other one goes on for more than three times as long'
      when b.is_good or t.is_good then 'the other one failed'
      else 'both failed'
    end
  from run b
  join run t
    on (t.roll, t.pair) = (b.roll, b.pair)
    and t.is_tuned
  where not b.is_tuned
  order by greatest(b.run_id, t.run_id);
end
$_pairs_under$;

comment on function quantumflow._pairs_under(quantumflow.policies, timestamptz) is
'Pairs of which both runs have started, in order of the later start, and what they come to; outcome is null where that is open. In the order in which they end
slow runs would come late, and the faster version would seem better than it is.';

create function quantumflow._verdict(p_state text, p_wins int, p_losses int)
returns text
language sql
immutable
return case
  when p_state = 'trial' and quantumflow._wealth(p_wins, p_losses) >= 20 then 'it is faster'
  when quantumflow._wealth(p_losses, p_wins) >= 10 then 'it is slower'
  when p_state = 'trial' and p_wins + p_losses >= 40 then '40 pairs did not decide'
end;

comment on function quantumflow._verdict(text, int, int) is 'What so many pairs won and lost say of a policy in this state; null: nothing yet.';

create function quantumflow._count_pairs(p_policy quantumflow.policies, p_now timestamptz)
returns quantumflow.policies
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_count_pairs$
declare
  v_policy quantumflow.policies;
  v_wins   int := p_policy.wins;
  v_losses int := p_policy.losses;
  v_pair   record;
  v_number int;
begin
  select coalesce(max(k.pair), 0)
  into v_number
  from quantumflow.policy_pairs k
  where (k.workflow_slug, k.number) = (p_policy.workflow_slug, p_policy.number);

  for v_pair in
    select *
    from quantumflow._pairs_under(p_policy, p_now)
  loop
    exit when v_pair.outcome is null or quantumflow._verdict(p_policy.state, v_wins, v_losses) is not null;

    v_number := v_number + 1;
    v_wins := v_wins + (v_pair.outcome = 'won')::int;
    v_losses := v_losses + (v_pair.outcome = 'lost')::int;

    insert into quantumflow.policy_pairs
      (workflow_slug, number, pair, base_run_id, tuned_run_id, base_seconds, tuned_seconds, outcome, reason, at)
    values (
      p_policy.workflow_slug, p_policy.number, v_number, (v_pair.base).run_id, (v_pair.tuned).run_id,
      case when (v_pair.base).is_good then (v_pair.base).seconds end, case when (v_pair.tuned).is_good then (v_pair.tuned).seconds end,
      v_pair.outcome, v_pair.reason, p_now
    );

    -- They are alone from here on: their times go where those of all others go.
    update quantumflow._policy_runs r
    set is_paired = false
    where (r.workflow_slug, r.number) = (p_policy.workflow_slug, p_policy.number)
      and r.run_id in ((v_pair.base).run_id, (v_pair.tuned).run_id);
  end loop;

  if (v_wins, v_losses) = (p_policy.wins, p_policy.losses) then
    return p_policy;
  end if;

  update quantumflow.policies p
  set
    wins = v_wins,
    losses = v_losses
  where (p.workflow_slug, p.number) = (p_policy.workflow_slug, p_policy.number)
  returning p.* into v_policy;

  return v_policy;
end
$_count_pairs$;

comment on function quantumflow._count_pairs(quantumflow.policies, timestamptz) is
'Counts what the pairs of a policy have come to, up to the first one that is open, or to a verdict.';

create function quantumflow._note_times(p_policy quantumflow.policies, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_note_times$
begin
  with ended as (
    delete from quantumflow._policy_runs p
    using quantumflow._runs_under(p_policy, p_now) r
    where (p.workflow_slug, p.number, p.run_id) = (p_policy.workflow_slug, p_policy.number, r.run_id)
      and not r.is_paired
      and (r.has_ended or r.spoiled is not null)
    returning r.run_id, r.is_tuned, r.seconds, r.is_good and r.spoiled is null as is_good
  )
  insert into quantumflow._policy_times (workflow_slug, number, run_id, is_tuned, seconds)
  select p_policy.workflow_slug, p_policy.number, e.run_id, e.is_tuned, e.seconds
  from ended e
  where e.is_good;

  delete from quantumflow._policy_times t
  using (
    select l.run_id, row_number() over (partition by l.is_tuned order by l.run_id desc) as place
    from quantumflow._policy_times l
    where (l.workflow_slug, l.number) = (p_policy.workflow_slug, p_policy.number)
  ) o
  where (t.workflow_slug, t.number, t.run_id) = (p_policy.workflow_slug, p_policy.number, o.run_id)
    and o.place > 40;
end
$_note_times$;

comment on function quantumflow._note_times(quantumflow.policies, timestamptz) is
'Keeps how long the runs took that have ended and are in no pair that is open, 40 of each version.';

create function quantumflow._harm(p_policy quantumflow.policies, p_now timestamptz)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_harm$
declare
  v_slowest double precision;
  v_more    bigint;
begin
  -- What the author's settings would have let go on.
  if exists (
    select
    from quantumflow._policy_runs r
    cross join lateral (
      select *
      from quantumflow.task_failures f
      where f.run_id = r.run_id
        and f.kind = 'timeout'
    ) f
    join quantumflow.workflow_steps b
      on (b.workflow_slug, b.version, b.step_slug) = (p_policy.workflow_slug, p_policy.base_version, f.step_slug)
    join quantumflow.workflow_steps t
      on (t.workflow_slug, t.version, t.step_slug) = (p_policy.workflow_slug, p_policy.tuned_version, f.step_slug)
    where (r.workflow_slug, r.number) = (p_policy.workflow_slug, p_policy.number)
      and r.is_tuned
      and t.timeout < b.timeout
      and f.ended_at - f.started_at < b.timeout
  )
  then
    return 'an attempt timed out that had more time before';
  end if;

  select max(t.seconds)
  into v_slowest
  from quantumflow._policy_times t
  where (t.workflow_slug, t.number) = (p_policy.workflow_slug, p_policy.number)
    and not t.is_tuned
  having count(*) >= 3;

  if exists (
    select
    from quantumflow._runs_under(p_policy, p_now) r
    where r.is_tuned
      and r.spoiled is null
      and r.seconds > 2 * v_slowest
  )
  then
    return 'a run took more than twice as long as the slowest one with the settings before';
  end if;

  select count(*) filter (where k.tuned_seconds is null and k.base_seconds is not null)
    - count(*) filter (where k.base_seconds is null and k.tuned_seconds is not null)
  into v_more
  from quantumflow.policy_pairs k
  where (k.workflow_slug, k.number) = (p_policy.workflow_slug, p_policy.number)
    and k.reason = 'the other one failed';

  if v_more >= 3 then
    return 'more of its runs failed';
  end if;

  return null;
end
$_harm$;

comment on function quantumflow._harm(quantumflow.policies, timestamptz) is
'Why a policy is to end at once, whatever its pairs say; null: nothing speaks for that.';

create function quantumflow._has_drifted(p_policy quantumflow.policies)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_has_drifted$
begin
  return (
    select coalesce(bool_and(abs(ln(l.seconds / m.median)) > ln(1.5)), false)
    from (
      select percentile_cont(0.5) within group (order by e.seconds) as median
      from (
        select greatest(t.seconds, 0.000001) as seconds
        from quantumflow._policy_times t
        where (t.workflow_slug, t.number) = (p_policy.workflow_slug, p_policy.number)
          and t.is_tuned
        order by t.run_id desc
        offset 2
        limit 20
      ) e
      having count(*) >= 5
    ) m
    cross join lateral (
      select greatest(t.seconds, 0.000001) as seconds
      from quantumflow._policy_times t
      where (t.workflow_slug, t.number) = (p_policy.workflow_slug, p_policy.number)
        and t.is_tuned
      order by t.run_id desc
      limit 2
    ) l);
end
$_has_drifted$;

comment on function quantumflow._has_drifted(quantumflow.policies) is
'Whether the last two tuned runs took more than 1.5 times as long as the median of the 20 before, or less than that share of it.';

create function quantumflow._advance_policy(p_policy quantumflow.policies, p_now timestamptz)
returns quantumflow.policies
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_advance_policy$
declare
  v_policy  quantumflow.policies := p_policy;
  v_harm    text;
  v_verdict text;
begin
  if p_policy.state = 'observing' then
    return quantumflow._conclude(p_policy, p_now);
  end if;

  v_harm := quantumflow._harm(p_policy, p_now);

  if v_harm is not null then
    return quantumflow._end_policy(p_policy, v_harm, p_now);
  end if;

  v_policy := quantumflow._count_pairs(v_policy, p_now);
  v_verdict := quantumflow._verdict(v_policy.state, v_policy.wins, v_policy.losses);

  if v_verdict = 'it is faster' then
    v_policy := quantumflow._put_to_work(v_policy, 'adopted', v_verdict, p_now);
  elsif v_verdict is not null then
    return quantumflow._end_policy(v_policy, v_verdict, p_now);
  end if;

  perform quantumflow._note_times(v_policy, p_now);

  if v_policy.state = 'adopted' and quantumflow._has_drifted(v_policy) then
    v_policy := quantumflow._put_to_work(v_policy, 'trial', 'its runs take otherwise than they did', p_now);

    -- What comes now is compared with what comes now.
    delete from quantumflow._policy_times t
    where (t.workflow_slug, t.number) = (v_policy.workflow_slug, v_policy.number);
  end if;

  return v_policy;
end
$_advance_policy$;

comment on function quantumflow._advance_policy(quantumflow.policies, timestamptz) is
'Learns from the runs of a policy that have ended, and adopts it, tries it again, or ends it. The caller holds its workflow.';

create function quantumflow._advance_policies(p_now timestamptz)
returns setof quantumflow.policies
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_advance_policies$
declare
  v_slug   text;
  v_policy quantumflow.policies;
begin
  -- Under the other levels what somebody else has counted since the snapshot would end the call.
  if not quantumflow._is_read_committed() then
    return;
  end if;

  for v_slug in
    select p.workflow_slug
    from quantumflow.policies p
    where p.state in ('observing', 'trial', 'adopted')
    order by p.workflow_slug
  loop
    perform
    from quantumflow.workflows w
    where w.workflow_slug = v_slug
    for no key update skip locked;

    continue when not found;

    select *
    into v_policy
    from quantumflow.policies p
    where p.workflow_slug = v_slug
      and p.state in ('observing', 'trial', 'adopted');

    if found then
      v_policy := quantumflow._advance_policy(v_policy, p_now);
      return next v_policy;
    end if;
  end loop;
end
$_advance_policies$;

comment on function quantumflow._advance_policies(timestamptz) is
'Advances every policy that is tried or adopted and whose workflow nobody holds; waits for nobody.';

create type quantumflow.trial_state as (
  workflow_slug text,
  state         text,
  pairs         int,
  wealth        double precision
);

comment on type quantumflow.trial_state is 'A row of advance_trials().';
comment on column quantumflow.trial_state.workflow_slug is 'The workflow.';
comment on column quantumflow.trial_state.state is 'The state of its policy by now, see policies.';
comment on column quantumflow.trial_state.pairs is 'How many pairs have been counted in that state.';
comment on column quantumflow.trial_state.wealth is 'What they say for it: from 20 on a trial is adopted.';

create function quantumflow.advance_trials()
returns setof quantumflow.trial_state
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $advance_trials$
begin
  return query
  select p.workflow_slug::text, p.state, p.wins + p.losses, quantumflow._wealth(p.wins, p.losses)
  from quantumflow._advance_policies(quantumflow._now()) p;
end
$advance_trials$;

comment on function quantumflow.advance_trials() is
'Learns from the runs that have ended of every workflow with a policy, and adopts, tries again or ends it, as sweep() does: a row for each.

Unless the transaction is read committed it does nothing.';
