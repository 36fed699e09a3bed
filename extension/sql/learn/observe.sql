create function quantumflow._observe(p_workflow_slug text, p_level text, p_preserve_structure boolean, p_now timestamptz)
returns quantumflow.policies
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_observe$
declare
  v_base   int := (select w.current_version from quantumflow.workflows w where w.workflow_slug = p_workflow_slug);
  v_maps   text[];
  v_probes int[];
  v_policy quantumflow.policies;
begin
  select array_agg(a.step_slug order by a.step_slug)
  into v_maps
  from quantumflow._auto_maps(p_workflow_slug, v_base) a (step_slug)
  where a.step_slug not in (
    select f.step_slug
    from quantumflow._fitted_of(quantumflow._recent_runs(p_workflow_slug, quantumflow._relatives(p_workflow_slug, v_base))) f
  );

  if v_maps is null then
    return null;
  end if;

  select array[v_base] || array_agg(
    quantumflow._store_tuned(
      p_workflow_slug, v_base,
      (select jsonb_agg(jsonb_build_object('step_slug', m.slug, 'key', 'chunk_size', 'suggested', s.size)) from unnest(v_maps) m (slug)), p_now)
    order by s.size)
  into v_probes
  from unnest('{4,16,64}'::int[]) s (size);

  v_policy := quantumflow._propose(p_workflow_slug, p_level, p_preserve_structure, '[]', null, p_now);

  update quantumflow.policies p
  set probes = v_probes
  where (p.workflow_slug, p.number) = (v_policy.workflow_slug, v_policy.number);

  return quantumflow._put_to_work(v_policy, 'observing', 'what a call of ' || array_to_string(v_maps, ', ') || ' takes', p_now);
end
$_observe$;

comment on function quantumflow._observe(text, text, boolean, timestamptz) is
'Lets new runs have chunks of several sizes in turn, where a map has the chunk_size "auto" of which nothing is known; else null. From one size what a call takes
cannot be told from what an item takes. The caller holds the workflow.';

create function quantumflow._conclude(p_policy quantumflow.policies, p_now timestamptz)
returns quantumflow.policies
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_conclude$
declare
  v_changes quantumflow._changes;
  v_policy  quantumflow.policies;
begin
  if not (
    select count(distinct r.version) >= cardinality(p_policy.probes) and count(*) >= 6
    from quantumflow._policy_runs p
    join quantumflow.workflow_runs r on r.id = p.run_id
    where (p.workflow_slug, p.number) = (p_policy.workflow_slug, p_policy.number)
      and r.status = 'completed'
  )
  then
    return p_policy;
  end if;

  v_changes := quantumflow._changes_for(p_policy.workflow_slug, p_policy.level, p_now);

  if v_changes.changes is null then
    return quantumflow._end_policy(p_policy, 'what was observed speaks for no other settings', p_now);
  end if;

  perform quantumflow._clear_policies(p_policy.workflow_slug);

  update quantumflow.policies p
  set
    state = 'proposed',
    changes = v_changes.changes,
    predicted_gain = v_changes.gain,
    tuned_version = quantumflow._store_tuned(p_policy.workflow_slug, p_policy.base_version, v_changes.changes, p_now),
    probes = '{}'
  where (p.workflow_slug, p.number) = (p_policy.workflow_slug, p_policy.number)
  returning p.* into v_policy;

  if v_policy.predicted_gain >= 0.05 then
    return quantumflow._put_to_work(v_policy, 'trial', null, p_now);
  end if;

  update quantumflow.workflows w
  set policy = null
  where w.workflow_slug = p_policy.workflow_slug;

  return v_policy;
end
$_conclude$;

comment on function quantumflow._conclude(quantumflow.policies, timestamptz) is
'Makes a trial of what was observed, once a run of each size has completed, and six in all; else changes nothing. The caller holds the workflow.';
