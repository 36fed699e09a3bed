create function quantumflow.optimize_flow(
  workflow_slug      text,
  level              text default null,
  preserve_structure boolean default null,
  apply              text default 'trial')
returns quantumflow.policies
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $optimize_flow$
declare
  v_now       timestamptz := quantumflow._now();
  v_level     text := coalesce(optimize_flow.level, quantumflow._orchestrator_value('optimization.level'));
  v_preserves boolean := coalesce(
    optimize_flow.preserve_structure, quantumflow._orchestrator_value('optimization.preserve_structure')::boolean);
  v_policy    quantumflow.policies;
  v_changes   quantumflow._changes;
begin
  perform quantumflow._refuse_nulls(jsonb_build_object('workflow_slug', optimize_flow.workflow_slug));
  perform quantumflow._refuse_unknown_level(v_level);
  perform quantumflow._refuse_unknown_apply(optimize_flow.apply);
  perform quantumflow._require_read_committed('optimize a workflow');
  perform quantumflow._refuse_unknown(optimize_flow.workflow_slug, null);
  perform quantumflow._hold_flow(optimize_flow.workflow_slug, p_may_be_new => false);

  -- Two who optimize make one policy.
  select *
  into v_policy
  from quantumflow.policies p
  where p.workflow_slug = optimize_flow.workflow_slug
    and p.state in ('observing', 'trial', 'adopted');

  if found then
    return v_policy;
  end if;

  if optimize_flow.apply = 'trial' and v_level <> 'basic' then
    v_policy := quantumflow._observe(optimize_flow.workflow_slug, v_level, v_preserves, v_now);
  end if;

  if v_policy.number is null then
    v_changes := quantumflow._changes_for(optimize_flow.workflow_slug, v_level, v_now);

    if v_changes.changes is null then
      return null;
    end if;

    v_policy := quantumflow._propose(
      optimize_flow.workflow_slug, v_level, v_preserves, v_changes.changes, v_changes.gain, v_now);
  end if;

  if optimize_flow.apply = 'adopt' then
    v_policy := quantumflow._put_to_work(v_policy, 'adopted', 'by hand', v_now);
  elsif optimize_flow.apply = 'trial' and v_policy.state = 'proposed' and v_policy.predicted_gain >= 0.05 then
    v_policy := quantumflow._put_to_work(v_policy, 'trial', null, v_now);
  end if;

  perform quantumflow._record_act(
    'optimize_flow', v_now, optimize_flow.workflow_slug, p_detail => jsonb_build_object('policy', v_policy.number, 'state', v_policy.state));

  return v_policy;
end
$optimize_flow$;

comment on function quantumflow.optimize_flow(text, text, boolean, text) is
'Makes a policy of what recommendations() says: a version of the workflow with those settings, which is not current. The policy that is at work, if there is one; null
where nothing is to be changed.

level: as for recommendations(). preserve_structure: steps and what they wait for stay as they are; no rule changes them yet. Null, of either: as
configure_orchestrator says, which is basic, and true, unless somebody configured it.
apply: propose makes the version and does nothing with it. trial gives it to one of each two new runs, tossed, until their times have decided: then it is adopted, or
rejected; a policy that is not predicted to save 5 % is only proposed. adopt gives it to all new runs, but half of every tenth pair, without a trial. In all of
these runs that are started with a version have that one. Where a map has the chunk_size "auto", and nobody knows yet what a call of it takes and what an item,
a trial begins with observing: new runs have chunks of 1, 4, 16 and 64 in turn. sweep() counts pairs, and rolls an adopted policy back that has become slower.

Settings that were rejected or rolled back less than 30 days ago are left out.

Errors: QF101 an argument is null; QF111 unknown workflow; QF611 aggressive before 100 runs have completed; QF616 unknown level, or apply; 0A000 unless the
transaction is read committed.';

create function quantumflow._optimize_next(p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_optimize_next$
declare
  v_slug text;
begin
  select w.workflow_slug
  into v_slug
  from quantumflow.workflows w
  where exists (
      select
      from quantumflow.workflow_versions v
      where (v.workflow_slug, v.version) = (w.workflow_slug, w.current_version)
    )
    and coalesce(w.optimized_at, '-infinity') <= p_now - interval '1 day'
  order by w.optimized_at nulls first, w.workflow_slug
  limit 1
  for no key update skip locked;

  if not found then
    return;
  end if;

  update quantumflow.workflows w
  set optimized_at = p_now
  where w.workflow_slug = v_slug;

  perform quantumflow.optimize_flow(v_slug);
exception
  when others then
    if quantumflow._is_of_the_call(sqlstate) then
      raise;
    end if;

    -- Too few runs for the level, say: it is looked at again tomorrow.
    update quantumflow.workflows w
    set optimized_at = p_now
    where w.workflow_slug = v_slug;
end
$_optimize_next$;

comment on function quantumflow._optimize_next(timestamptz) is
'Optimizes the workflow that was looked at longest ago, as optimize_flow does by itself; each once a day. Waits for nobody.';

create function quantumflow._refuse_unknown_apply(p_apply text)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_unknown_apply$
begin
  if (p_apply in ('propose', 'trial', 'adopt')) is not true then
    raise exception 'apply % is not known', coalesce(quote_literal(p_apply), 'null')
    using
      errcode = 'QF616',
      detail = 'It is propose, trial or adopt.',
      hint = 'trial changes half of the new runs until their times have decided.';
  end if;
end
$_refuse_unknown_apply$;

comment on function quantumflow._refuse_unknown_apply(text) is
'Refuses what cannot be done with a policy.

Errors: QF616.';

create function quantumflow.rollback_policy(workflow_slug text, reason text default null)
returns quantumflow.policies
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $rollback_policy$
declare
  v_now    timestamptz := quantumflow._now();
  v_policy quantumflow.policies;
begin
  perform quantumflow._refuse_nulls(jsonb_build_object('workflow_slug', rollback_policy.workflow_slug));
  perform quantumflow._refuse_unknown(rollback_policy.workflow_slug, null);
  perform quantumflow._hold_flow(rollback_policy.workflow_slug, p_may_be_new => false);

  select *
  into v_policy
  from quantumflow.policies p
  where p.workflow_slug = rollback_policy.workflow_slug
    and p.state in ('observing', 'trial', 'adopted');

  if not found then
    raise exception 'workflow "%" has no policy at work', rollback_policy.workflow_slug
    using
      errcode = 'QF617',
      detail = 'None of its policies is tried or adopted.',
      hint = 'select * from quantumflow.policy_history(''my_flow'') shows them all.';
  end if;

  v_policy := quantumflow._end_policy(v_policy, coalesce(rollback_policy.reason, 'by hand'), v_now);

  perform quantumflow._record_act(
    'rollback_policy', v_now, rollback_policy.workflow_slug, p_reason => rollback_policy.reason,
    p_detail => jsonb_build_object('policy', v_policy.number));

  return v_policy;
end
$rollback_policy$;

comment on function quantumflow.rollback_policy(text, text) is
'Ends the policy of a workflow that is tried or adopted: new runs have the current version from here on. It is rolled_back, or rejected if it never was adopted, and its
settings are not proposed again for 30 days.

Errors: QF101 the workflow is null; QF111 unknown workflow; QF617 none of its policies is at work.';
