create type quantumflow.pause_summary as (
  kind         text,
  name         text,
  paused_at    timestamptz,
  paused_by    text,
  on_behalf_of text,
  reason       text,
  waiting      bigint
);

comment on type quantumflow.pause_summary is 'A queue, a flow or a command that is paused, and what waits for its resume.';
comment on column quantumflow.pause_summary.kind is 'queue, workflow or command.';
comment on column quantumflow.pause_summary.name is 'The name of the queue or command, the slug of the workflow.';
comment on column quantumflow.pause_summary.paused_at is 'Since when.';
comment on column quantumflow.pause_summary.paused_by is 'The role that paused it.';
comment on column quantumflow.pause_summary.on_behalf_of is 'For whom, as the session claimed.';
comment on column quantumflow.pause_summary.reason is 'Why.';
comment on column quantumflow.pause_summary.waiting is
'Tasks that are due and wait for it; of a flow those that claims have met and put out of their way.';

create function quantumflow.list_pauses()
returns setof quantumflow.pause_summary
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $list_pauses$
declare
  v_now timestamptz := quantumflow._now();
begin
  return query
  select p.kind, p.name, p.paused_at, p.paused_by, p.on_behalf_of, p.reason, w.waiting
  from quantumflow.pauses p
  cross join lateral (
    select case p.kind
      when 'workflow' then (select count(*) from quantumflow._parked k where k.workflow_slug = p.name)
      else (
        select coalesce(sum(quantumflow._count_due(q.queue, l.lanes, v_now)), 0)::bigint
        from quantumflow._known_queues() q (queue)
        cross join lateral (
          select case p.kind when 'command' then array[p.name] else quantumflow._lanes_of(q.queue) end as lanes
        ) l
        where q.queue <> quantumflow._system_queue()
          and (p.kind = 'command' or q.queue = p.name)
      )
    end as waiting
  ) w
  order by p.paused_at, p.kind, p.name;
end
$list_pauses$;

comment on function quantumflow.list_pauses() is
'What is paused, by whom and why, what has been longest first. Runs that are paused by themselves are not here: see list_runs.

Errors: none.';
