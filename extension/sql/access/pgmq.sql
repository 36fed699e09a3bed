-- pgmq may be installed later, where this is installed as plain SQL: then it is looked at when the first queue is made.
do $pgmq$
begin
  if pg_catalog.current_setting('quantumflow.pgmq_owner', true) operator(pg_catalog.<>) '' then
    insert into quantumflow.settings (name, value)
    values ('pgmq_owner', pg_catalog.current_setting('quantumflow.pgmq_owner'))
    on conflict (name) do update
    set value = excluded.value;
  end if;

  -- What steps named before there was this table was asked about then.
  insert into quantumflow._own_queues (queue)
  select distinct s.queue
  from quantumflow.workflow_steps s
  on conflict do nothing;

  if pg_catalog.to_regnamespace('pgmq') is not null then
    perform quantumflow._require_pgmq();
  end if;

  -- Versions before 0.4.0 had no lanes.
  perform quantumflow._make_lanes(o.queue), quantumflow._name_live_commands(o.queue)
  from quantumflow._own_queues o
  where quantumflow._queue_table(o.queue) is not null;

  -- Rather than to learn after an update that the starts are refused.
  perform quantumflow._raise_unusable_queue(s.queue)
  from (
    select distinct w.queue
    from quantumflow.workflow_steps w
  ) s
  where quantumflow._is_there(s.queue)
    and quantumflow._queue_table(s.queue) is null;
end
$pgmq$;
