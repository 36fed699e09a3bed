create type quantumflow.flow_summary as (
  workflow_slug   text,
  title           text,
  current_version int,
  versions        int,
  steps           int,
  frozen          boolean,
  created_at      timestamptz
);

comment on type quantumflow.flow_summary is 'A row of list_flows().';
comment on column quantumflow.flow_summary.workflow_slug is 'The workflow.';
comment on column quantumflow.flow_summary.title is 'The current version''s title.';
comment on column quantumflow.flow_summary.current_version is 'The version that new runs use.';
comment on column quantumflow.flow_summary.versions is 'How many versions there are.';
comment on column quantumflow.flow_summary.steps is 'How many steps the current version has.';
comment on column quantumflow.flow_summary.frozen is 'Whether a run has used the current version: then a change makes the next one.';
comment on column quantumflow.flow_summary.created_at is 'When the workflow was first defined.';

create function quantumflow.list_flows()
returns setof quantumflow.flow_summary
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $list_flows$
begin
  return query
  select
    w.workflow_slug,
    v.definition ->> 'title',
    w.current_version,
    (
      select count(*)::int
      from quantumflow.workflow_versions o
      where o.workflow_slug = w.workflow_slug
        and o.tuned_from is null
    ),
    jsonb_array_length(v.definition -> 'steps'),
    v.frozen_at is not null,
    w.created_at
  from quantumflow.workflows w
  join quantumflow.workflow_versions v
    on v.workflow_slug = w.workflow_slug
    and v.version = w.current_version
  order by w.created_at desc, w.workflow_slug;
end
$list_flows$;

comment on function quantumflow.list_flows() is
'The workflows, the newest first.';
