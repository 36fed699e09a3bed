create type quantumflow.step_stats as (
  workflow_slug     text,
  version           int,
  step_slug         text,
  n                 bigint,
  failures          bigint,
  waited_p50        interval,
  waited_p95        interval,
  worked_p50        interval,
  worked_p95        interval,
  worked_p50_before interval,
  change            numeric
);

comment on type quantumflow.step_stats is 'How the attempts at a step went, or, without a step, the runs of a version.';
comment on column quantumflow.step_stats.workflow_slug is 'The workflow.';
comment on column quantumflow.step_stats.version is 'The version.';
comment on column quantumflow.step_stats.step_slug is 'The step; null: the runs themselves.';
comment on column quantumflow.step_stats.n is 'How many attempts, or runs, ended.';
comment on column quantumflow.step_stats.failures is 'How many of them failed, timed out or were lost; how many of the runs did not complete.';
comment on column quantumflow.step_stats.waited_p50 is 'Half of the attempts waited no longer, from when they were due to when they began; null for runs.';
comment on column quantumflow.step_stats.waited_p95 is '95 of 100 waited no longer.';
comment on column quantumflow.step_stats.worked_p50 is 'Half of the attempts were worked on no longer, those that were lost left out; half of the runs took no longer.';
comment on column quantumflow.step_stats.worked_p95 is '95 of 100 were worked on, or took, no longer.';
comment on column quantumflow.step_stats.worked_p50_before is 'worked_p50 of the time before; null where there is none.';
comment on column quantumflow.step_stats.change is 'worked_p50 as a multiple of worked_p50_before: 1.5 is half as long again.';

create function quantumflow.stats(
  workflow_slug text default null,
  since         interval default '1 day',
  baseline      interval default '7 days')
returns setof quantumflow.step_stats
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $stats$
declare
  v_since  timestamptz;
  v_before timestamptz;
begin
  perform quantumflow._refuse_bad_span('since', stats.since);
  perform quantumflow._refuse_bad_span('baseline', stats.baseline);

  v_since := date_trunc('hour', quantumflow._now() - quantumflow._as_seconds(stats.since), 'UTC');
  v_before := v_since - quantumflow._as_seconds(stats.baseline);

  return query
  select
    n.workflow_slug, n.version, nullif(n.step_slug, '_run'), n.n, n.failures,
    n.waited_p50, n.waited_p95, n.worked_p50, n.worked_p95, b.worked_p50,
    round((extract(epoch from n.worked_p50) / nullif(extract(epoch from b.worked_p50), 0))::numeric, 2)
  from quantumflow._stats_between(stats.workflow_slug, v_since, 'infinity') n
  left join quantumflow._stats_between(stats.workflow_slug, v_before, v_since) b
    on (b.workflow_slug, b.version, b.step_slug) = (n.workflow_slug, n.version, n.step_slug)
  order by n.workflow_slug, n.version, n.step_slug = '_run' desc, n.step_slug;
end
$stats$;

comment on function quantumflow.stats(text, interval, interval) is
'How long steps waited and worked, and how often they failed, since an hour ago or a day, and how long they worked in the time before that: a row for each step of
which an attempt ended, and, without a step, for each version of which a run did. An unknown workflow has none.

since: back from now, baseline: back from there; 1 min to 1,000 years, and both reach back to the beginning of an hour. Lengths of time are within 5 % of
what they were. They are read from step_hours, where each attempt is counted a minute or two after its run has ended, and stays when that is deleted.

Errors: QF224 a since or baseline that is none.';

create function quantumflow._refuse_bad_span(p_name text, p_span interval)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_bad_span$
begin
  if p_span is null or extract(epoch from p_span) not between 60 and 1000 * 31557600::bigint then
    raise exception '% must be between 1 min and 1000 years', p_name
    using
      errcode = 'QF224',
      detail = format('It is %s.', coalesce(p_span::text, 'null')),
      hint = 'For example: select * from quantumflow.stats(since => ''1 day'', baseline => ''7 days'').';
  end if;
end
$_refuse_bad_span$;

comment on function quantumflow._refuse_bad_span(text, interval) is
'Refuses a length of time of which there are no statistics.

Errors: QF224.';

create function quantumflow._stats_between(p_workflow_slug text, p_since timestamptz, p_until timestamptz)
returns table (
  workflow_slug text,
  version       int,
  step_slug     text,
  n             bigint,
  failures      bigint,
  waited_p50    interval,
  waited_p95    interval,
  worked_p50    interval,
  worked_p95    interval)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_stats_between$
begin
  return query
  select
    g.workflow_slug::text, g.version, g.step_slug::text, g.n, g.failures,
    quantumflow._quantile(g.waited, 0.5), quantumflow._quantile(g.waited, 0.95),
    quantumflow._quantile(g.worked, 0.5), quantumflow._quantile(g.worked, 0.95)
  from (
    select
      h.workflow_slug, h.version, h.step_slug, sum(h.n)::bigint as n,
      sum((select coalesce(sum(f.value::numeric), 0) from jsonb_each_text(h.failures) f))::bigint as failures,
      array_agg(h.waited) as waited,
      array_agg(case h.step_slug when '_run' then h.took else h.worked end) as worked
    from quantumflow.step_hours h
    where h.hour >= p_since
      and h.hour < p_until
      and (p_workflow_slug is null or h.workflow_slug = p_workflow_slug)
    group by h.workflow_slug, h.version, h.step_slug
  ) g;
end
$_stats_between$;

comment on function quantumflow._stats_between(text, timestamptz, timestamptz) is
'stats(): of the hours from the one to before the other. step_slug _run: of the runs themselves.';
