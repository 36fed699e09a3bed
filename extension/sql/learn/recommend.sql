create type quantumflow.recommendation as (
  step_slug      text,
  key            text,
  current        jsonb,
  suggested      jsonb,
  n              bigint,
  predicted_gain numeric,
  confidence     numeric,
  why            text
);

comment on type quantumflow.recommendation is 'A row of recommendations(): another value for a key of a step.';
comment on column quantumflow.recommendation.step_slug is 'The step.';
comment on column quantumflow.recommendation.key is 'The key of its definition: timeout, max_attempts, retry_delay or chunk_size.';
comment on column quantumflow.recommendation.current is 'What it is now, as a definition would say it.';
comment on column quantumflow.recommendation.suggested is 'What it should be.';
comment on column quantumflow.recommendation.n is 'How many attempts, or tasks, speak for it.';
comment on column quantumflow.recommendation.predicted_gain is 'The share of a run''s median time that it is predicted to save; 0 where it is not about time.';
comment on column quantumflow.recommendation.confidence is
'1 - 1/w, where w is what a fair bet on each pair of a trial of these changes has made of a stake of 1; 0: they have not been tried.';
comment on column quantumflow.recommendation.why is 'What speaks for it.';

create function quantumflow._suggested_timeouts(p_workflow_slug text, p_base int, p_versions int[])
returns setof quantumflow.recommendation
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_suggested_timeouts$
begin
  return query
  select
    w.step_slug::text, 'timeout', to_jsonb(k.timeout), to_jsonb(s.suggested), l.attempts, 0::numeric, 0::numeric,
    case
      when l.timeouts > 0 then format('%s of %s attempts timed out, and others completed after %s s', l.timeouts, l.attempts, round(l.longest::numeric, 3))
      else format('none of %s attempts took longer than %s s: a worker that hangs would be noticed sooner', l.attempts, round(l.longest::numeric, 3))
    end
  from quantumflow._learned_of(p_workflow_slug, p_versions) l
  join quantumflow.workflow_steps w on (w.workflow_slug, w.version, w.step_slug) = (p_workflow_slug, p_base, l.step_slug)
  cross join lateral (
    select
      trim_scale(extract(epoch from w.timeout)) as timeout,
      (extract(epoch from quantumflow._quantile(l.worked, 0.99)) * 3)::double precision as thrice
  ) k
  cross join lateral (
    select trim_scale(round(
      case
        when l.timeouts > 0 and l.longest >= 0.8 * k.timeout then 2 * k.timeout
        when l.timeouts = 0 and l.attempts - l.failures >= 100 then greatest(1, 3 * l.longest, k.thrice)
        when l.timeouts = 0 and l.attempts - l.failures >= 20 then greatest(1, 10 * l.longest, k.thrice)
      end::numeric, 3))
  ) s (suggested)
  where w.counts
    and not w.settled
    and (s.suggested > k.timeout or s.suggested < 0.5 * k.timeout);
end
$_suggested_timeouts$;

comment on function quantumflow._suggested_timeouts(text, int, int[]) is
'Shorter timeouts where no attempt came near the one there is, at least 1 s and three times the longest, ten times below 100 attempts; longer ones where attempts time
out and others complete late. A timeout is an attempt that would have taken longer, nobody knows how much: where there is one, nothing becomes shorter.';

create function quantumflow._suggested_retries(p_workflow_slug text, p_base int, p_run_ids uuid[], p_median double precision)
returns setof quantumflow.recommendation
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_suggested_retries$
begin
  return query
  select
    w.step_slug::text, c.key, c.current, c.suggested, c.n, c.gain, 0::numeric, c.why
  from quantumflow._retried_of(p_run_ids) t
  join quantumflow.workflow_steps w on (w.workflow_slug, w.version, w.step_slug) = (p_workflow_slug, p_base, t.step_slug)
  cross join lateral (
    select d.delay, trim_scale(greatest(0.05, round(d.delay / 2, 3))) as half, t.first_helped::numeric / t.retried as helped
    from (select trim_scale(extract(epoch from w.retry_delay))) d (delay)
  ) k
  cross join lateral (
    values
      (
        'retry_delay', to_jsonb(k.delay), to_jsonb(k.half), t.retried,
        round(least(0.9, t.retried::numeric / cardinality(p_run_ids) * (k.delay - k.half) / nullif(p_median, 0)::numeric), 3),
        format('%s of %s tasks that failed completed at the second attempt', t.first_helped, t.retried),
        k.helped >= 0.8 and t.retried >= 5 and k.delay > 0.05 and not coalesce(t.asks_for_time, false)
      ),
      (
        'max_attempts', to_jsonb(w.max_attempts), to_jsonb(w.max_attempts + 1), t.last_tried, 0,
        format('%s of %s last attempts completed', t.last_helped, t.last_tried),
        t.last_tried >= 20 and t.last_helped::numeric / t.last_tried >= 0.2 and t.last_helped < t.last_tried
      )
  ) c (key, current, suggested, n, gain, why, speaks)
  where c.speaks
    and w.counts
    and not w.settled;
end
$_suggested_retries$;

comment on function quantumflow._suggested_retries(text, int, uuid[], double precision) is
'Half the delay where second attempts nearly always complete, never below 0.05 s, and not where errors speak of locks or limits; an attempt more where at least a
fifth of 20 last ones completed. Never fewer. p_run_ids: the runs to look at. p_median: what they take, in seconds.';

create function quantumflow._suggested_chunks(p_workflow_slug text, p_base int, p_run_ids uuid[], p_most_factor int)
returns setof quantumflow.recommendation
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_suggested_chunks$
declare
  v_slots int := (
    select greatest(coalesce(sum(l.slots), 0), 1)::int
    from quantumflow.workers l
    where l.stopped_at is null
      and not quantumflow._is_silent(l.last_seen_at, quantumflow._now()));
begin
  return query
  select
    w.step_slug::text, 'chunk_size', b.shown, to_jsonb(s.suggested), f.sizes,
    round(
      greatest(
        0,
        1 - quantumflow._predicted(p_workflow_slug, p_base, w.step_slug, k.tasks, f.per_call + f.per_item * s.suggested, v_slots)
          / nullif(quantumflow._predicted(p_workflow_slug, p_base, null, null, null, v_slots), 0))::numeric,
      3),
    0::numeric,
    format(
      'a call takes %s s and an item %s s, by tasks of %s sizes; a run has %s items', round(f.per_call::numeric, 5), round(f.per_item::numeric, 6), f.sizes,
      f.items)
  from quantumflow._fitted_of(p_run_ids) f
  join quantumflow.workflow_steps w on (w.workflow_slug, w.version, w.step_slug) = (p_workflow_slug, p_base, f.step_slug)
  cross join lateral (
    select
      case when is_auto then 100000 else p_most_factor end as factor,
      case when is_auto then '"auto"' else to_jsonb(w.chunk_size) end as shown
    from (select w.step_slug in (select quantumflow._auto_maps(p_workflow_slug, p_base))) k (is_auto)
  ) b
  cross join lateral (
    select greatest(
      1,
      least(
        10 * f.per_call / f.per_item, f.items / (4 * v_slots), extract(epoch from w.timeout)::double precision / (4 * f.per_item),
        w.chunk_size::double precision * b.factor, 100000)
    )::int
  ) c (fits)
  cross join lateral (select greatest(c.fits, ceil(w.chunk_size::numeric / b.factor)::int)) s (suggested)
  cross join lateral (select ceil(f.items / s.suggested)::int as tasks) k
  where s.suggested not between 0.8 * w.chunk_size and 1.25 * w.chunk_size;
end
$_suggested_chunks$;

comment on function quantumflow._suggested_chunks(text, int, uuid[], int) is
'As many items a task as make what a call takes a tenth of the rest, if that leaves each slot four tasks, and a task takes no more than a quarter of its timeout; at
most so many times what it is, or that part of it, unless its author wrote "auto". Only maps whose author gave a chunk_size: it changes what the handler gets.';

create function quantumflow._predicted(
  p_workflow_slug text,
  p_base          int,
  p_step_slug     text,
  p_tasks         int,
  p_seconds       double precision,
  p_slots         int)
returns double precision
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_predicted$
declare
  v_run_ids uuid[] := (quantumflow._recent_runs(p_workflow_slug, array[p_base]))[1:20];
begin
  return (
    select quantumflow._simulated(
      array_agg(w.step_slug order by w.step_index),
      jsonb_object_agg(w.step_slug, to_jsonb(w.dependencies || w.after)),
      array_agg(case w.step_slug when p_step_slug then p_tasks else coalesce(t.tasks, 1) end order by w.step_index),
      array_agg(case w.step_slug when p_step_slug then p_seconds else coalesce(t.seconds, 0) end order by w.step_index),
      p_slots)
    from quantumflow.workflow_steps w
    left join quantumflow._times_of(v_run_ids) t on t.step_slug = w.step_slug
    where (w.workflow_slug, w.version) = (p_workflow_slug, p_base)
      and w.counts);
end
$_predicted$;

comment on function quantumflow._predicted(text, int, text, int, double precision, int) is
'How long a run of a version takes by the medians of its steps in the last 20 runs, with that many slots; with other tasks for one of its steps, unless that is null. In seconds.';

create function quantumflow.recommendations(workflow_slug text, level text default null)
returns setof quantumflow.recommendation
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $recommendations$
declare
  v_level    text := coalesce(recommendations.level, quantumflow._orchestrator_value('optimization.level'));
  v_base     int;
  v_versions int[];
  v_run_ids  uuid[];
  v_runs     bigint;
  v_ended    bigint;
  v_median   double precision;
begin
  perform quantumflow._refuse_unknown_level(v_level);
  perform quantumflow._refuse_unknown(recommendations.workflow_slug, null);

  select w.current_version
  into v_base
  from quantumflow.workflows w
  where w.workflow_slug = recommendations.workflow_slug;

  v_versions := quantumflow._relatives(recommendations.workflow_slug, v_base);
  v_run_ids := quantumflow._recent_runs(recommendations.workflow_slug, v_versions);

  select coalesce(sum(l.attempts), 0), coalesce(sum(l.attempts - l.failures), 0)
  into v_ended, v_runs
  from quantumflow._learned_of(recommendations.workflow_slug, v_versions) l
  where l.step_slug = '_run';

  -- step_hours is a minute or two behind.
  select greatest(v_ended, count(*)), percentile_cont(0.5) within group (order by extract(epoch from r.completed_at - r.started_at))
  into v_ended, v_median
  from unnest(v_run_ids) u (run_id)
  join quantumflow.workflow_runs r on r.id = u.run_id;

  if v_level = 'aggressive' and v_runs < 100 then
    perform quantumflow._refuse_too_early(recommendations.workflow_slug, v_runs);
  end if;

  if v_ended < 5 then
    return;
  end if;

  return query
  select r.*
  from (
    select *
    from quantumflow._suggested_timeouts(recommendations.workflow_slug, v_base, v_versions)
    union all
    select *
    from quantumflow._suggested_retries(recommendations.workflow_slug, v_base, v_run_ids, v_median)
    union all
    select k.*
    from quantumflow._suggested_chunks(
      recommendations.workflow_slug, v_base, v_run_ids, case v_level when 'aggressive' then 16 else 4 end) k
    where v_level <> 'basic'
      and (v_ended >= 20 or k.current = '"auto"')
  ) r
  order by r.predicted_gain desc, r.step_slug, r.key;
end
$recommendations$;

comment on function quantumflow.recommendations(text, text) is
'What the past of a workflow''s current version says that its settings should be, what would gain most first: a row for each key of each step. Nothing is changed.

level: basic looks at timeouts, delays and attempts, from 5 ended runs on; advanced, from 20 on, also at the chunk_size of maps that have one, by a factor of 4 at most,
and from 5 on at one that is "auto", by any;
aggressive, from 100 completed runs on, by 16. No history: no rows.

Errors: QF111 unknown workflow; QF611 aggressive before 100 runs have completed; QF616 unknown level.';

create function quantumflow._refuse_unknown_level(p_level text)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_unknown_level$
begin
  if (p_level in ('basic', 'advanced', 'aggressive')) is not true then
    raise exception 'level % is not known', coalesce(quote_literal(p_level), 'null')
    using
      errcode = 'QF616',
      detail = 'Levels are basic, advanced and aggressive.',
      hint = 'For example: select * from quantumflow.recommendations(''my_flow'', ''advanced'').';
  end if;
end
$_refuse_unknown_level$;

comment on function quantumflow._refuse_unknown_level(text) is
'Refuses a level of learning that there is not.

Errors: QF616.';

create function quantumflow._refuse_too_early(p_workflow_slug text, p_runs bigint)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_too_early$
begin
  raise exception 'workflow "%" has too few completed runs for level aggressive', p_workflow_slug
  using
    errcode = 'QF611',
    detail = format('%s runs of its current version have completed and been counted, of 100.', p_runs),
    hint = 'Take level advanced, or wait: runs are counted by sweep(), a minute or two after their end.';
end
$_refuse_too_early$;

comment on function quantumflow._refuse_too_early(text, bigint) is
'Refuses large moves on little evidence.

Errors: QF611.';
