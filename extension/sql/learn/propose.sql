create type quantumflow._changes as (
  changes jsonb,
  gain    numeric
);

comment on type quantumflow._changes is 'What a policy would change, and the share of a run''s time that it is predicted to save; null: nothing.';

create function quantumflow._changes_for(p_workflow_slug text, p_level text, p_now timestamptz)
returns quantumflow._changes
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_changes_for$
declare
  v_changes quantumflow._changes;
begin
  select jsonb_agg(to_jsonb(r)), least(sum(r.predicted_gain), 0.99)
  into v_changes
  from quantumflow.recommendations(p_workflow_slug, p_level) r
  where not quantumflow._has_harmed(p_workflow_slug, r, p_now);

  return v_changes;
end
$_changes_for$;

comment on function quantumflow._changes_for(text, text, timestamptz) is
'What recommendations() says, but what was rejected or rolled back in the last 30 days.';

create function quantumflow._has_harmed(p_workflow_slug text, p_change quantumflow.recommendation, p_now timestamptz)
returns boolean
language sql
stable
return exists (
  select
  from quantumflow.policies p
  cross join lateral jsonb_array_elements(p.changes) c (value)
  where p.workflow_slug = p_workflow_slug
    and p.state in ('rejected', 'rolled_back')
    and p.decided_at > p_now - interval '30 days'
    and c.value ->> 'step_slug' = p_change.step_slug
    and c.value ->> 'key' = p_change.key
    and c.value -> 'suggested' = p_change.suggested);

comment on function quantumflow._has_harmed(text, quantumflow.recommendation, timestamptz) is
'Whether a change was part of a policy that was rejected or rolled back in the last 30 days.';

create function quantumflow._propose(
  p_workflow_slug      text,
  p_level              text,
  p_preserve_structure boolean,
  p_changes            jsonb,
  p_gain               numeric,
  p_now                timestamptz)
returns quantumflow.policies
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_propose$
declare
  v_base   int := (select w.current_version from quantumflow.workflows w where w.workflow_slug = p_workflow_slug);
  v_policy quantumflow.policies;
begin
  update quantumflow.policies p
  set
    state = 'superseded',
    reason = 'another one was proposed',
    decided_at = p_now
  where p.workflow_slug = p_workflow_slug
    and p.state = 'proposed';

  insert into quantumflow.policies as p
    (workflow_slug, number, level, state, base_version, tuned_version, preserve_structure, changes, predicted_gain, secret, reason, made_at)
  select
    p_workflow_slug, coalesce(max(o.number), 0) + 1, p_level, 'proposed', v_base,
    quantumflow._store_tuned(p_workflow_slug, v_base, p_changes, p_now), p_preserve_structure, p_changes, p_gain, gen_random_uuid(),
    case when p_gain < 0.05 then 'it is not predicted to save 5 %' end, p_now
  from quantumflow.policies o
  where o.workflow_slug = p_workflow_slug
  returning p.* into v_policy;

  assert not p_preserve_structure or not exists (
    select
    from quantumflow.diff_flow(p_workflow_slug, v_policy.base_version, v_policy.tuned_version) d
    where d.path !~ '[.](timeout|max_attempts|retry_delay|chunk_size)$'
  ), 'it would change the structure';

  return v_policy;
end
$_propose$;

comment on function quantumflow._propose(text, text, boolean, jsonb, numeric, timestamptz) is
'Writes a policy that is proposed, and its version. The caller holds the workflow.';
