create type quantumflow.policy_entry as (
  number         int,
  level          text,
  state          text,
  base_version   int,
  tuned_version  int,
  changes        jsonb,
  predicted_gain numeric,
  measured_gain  numeric,
  won            bigint,
  lost           bigint,
  dropped        bigint,
  confidence     numeric,
  reason         text,
  made_at        timestamptz,
  adopted_at     timestamptz,
  decided_at     timestamptz
);

comment on type quantumflow.policy_entry is 'A row of policy_history().';
comment on column quantumflow.policy_entry.number is '1, 2, 3 and so on.';
comment on column quantumflow.policy_entry.level is 'What it might change.';
comment on column quantumflow.policy_entry.state is 'proposed, trial, adopted, rejected, rolled_back or superseded, see policies.';
comment on column quantumflow.policy_entry.base_version is 'The version that it changes.';
comment on column quantumflow.policy_entry.tuned_version is 'The version with its changes.';
comment on column quantumflow.policy_entry.changes is 'What it changes, and why.';
comment on column quantumflow.policy_entry.predicted_gain is 'The share of a run''s time that it was predicted to save.';
comment on column quantumflow.policy_entry.measured_gain is 'What it saved in the median of its pairs; null before there is one with two times.';
comment on column quantumflow.policy_entry.won is 'How many pairs the tuned version has won, all told.';
comment on column quantumflow.policy_entry.lost is 'How many it has lost.';
comment on column quantumflow.policy_entry.dropped is 'How many said nothing.';
comment on column quantumflow.policy_entry.confidence is '1 - 1/w, where w is what a fair bet on each pair since its state began has made of a stake of 1; at least 0.';
comment on column quantumflow.policy_entry.reason is 'Why it is in this state.';
comment on column quantumflow.policy_entry.made_at is 'When it was proposed.';
comment on column quantumflow.policy_entry.adopted_at is 'When it was adopted first.';
comment on column quantumflow.policy_entry.decided_at is 'When it ended.';

create function quantumflow.policy_history(workflow_slug text)
returns setof quantumflow.policy_entry
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $policy_history$
begin
  return query
  select
    p.number, p.level, p.state, p.base_version, p.tuned_version, p.changes, p.predicted_gain, k.gain, k.won, k.lost, k.dropped,
    round(greatest(0, 1 - 1 / quantumflow._wealth(p.wins, p.losses))::numeric, 4), p.reason, p.made_at, p.adopted_at, p.decided_at
  from quantumflow.policies p
  cross join lateral (
    select
      round((1 - exp(percentile_cont(0.5) within group (order by ln(l.tuned_seconds / nullif(l.base_seconds, 0)))
        filter (where l.outcome <> 'dropped')))::numeric, 3) as gain,
      count(*) filter (where l.outcome = 'won') as won,
      count(*) filter (where l.outcome = 'lost') as lost,
      count(*) filter (where l.outcome = 'dropped') as dropped
    from quantumflow.policy_pairs l
    where (l.workflow_slug, l.number) = (p.workflow_slug, p.number)
  ) k
  where p.workflow_slug = policy_history.workflow_slug
  order by p.number;
end
$policy_history$;

comment on function quantumflow.policy_history(text) is
'What was proposed for a workflow, tried and adopted, why, and what came of it, oldest first. An unknown workflow has none. policy_pairs has each pair.

Errors: none.';
