create function quantumflow._put_to_work(p_policy quantumflow.policies, p_state text, p_reason text, p_now timestamptz)
returns quantumflow.policies
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_put_to_work$
declare
  v_policy quantumflow.policies;
begin
  update quantumflow.policies p
  set
    state = p_state,
    reason = p_reason,
    wins = 0,
    losses = 0,
    adopted_at = case p_state when 'adopted' then coalesce(p.adopted_at, p_now) else p.adopted_at end
  where (p.workflow_slug, p.number) = (p_policy.workflow_slug, p_policy.number)
  returning p.* into v_policy;

  insert into quantumflow._ticket_rolls (workflow_slug, number, roll)
  select v_policy.workflow_slug, v_policy.number, n
  from generate_series(1, 16) n
  on conflict do nothing;

  update quantumflow.workflows w
  set policy = v_policy.number
  where w.workflow_slug = v_policy.workflow_slug
    and w.policy is distinct from v_policy.number;

  return v_policy;
end
$_put_to_work$;

comment on function quantumflow._put_to_work(quantumflow.policies, text, text, timestamptz) is
'Lets new runs be started by a policy, as trial or adopted; its pairs are counted from nothing. The caller holds its workflow.';

create function quantumflow._end_policy(p_policy quantumflow.policies, p_reason text, p_now timestamptz)
returns quantumflow.policies
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_end_policy$
declare
  v_policy quantumflow.policies;
begin
  update quantumflow.policies p
  set
    state = case when p.adopted_at is null then 'rejected' else 'rolled_back' end,
    reason = p_reason,
    decided_at = p_now
  where (p.workflow_slug, p.number) = (p_policy.workflow_slug, p_policy.number)
  returning p.* into v_policy;

  update quantumflow.workflows w
  set policy = null
  where w.workflow_slug = p_policy.workflow_slug;

  perform quantumflow._clear_policies(p_policy.workflow_slug);

  return v_policy;
end
$_end_policy$;

comment on function quantumflow._end_policy(quantumflow.policies, text, timestamptz) is
'Ends a policy: new runs have the base version from here on, and those that go on keep what they have. The caller holds its workflow.';
