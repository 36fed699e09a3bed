-- What pauses of a queue, a flow and a command have in common. Claims read them: see worker/paused.sql.

create function quantumflow._pause(p_what text, p_kind text, p_name text, p_reason text)
returns timestamptz
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_pause$
declare
  v_now       timestamptz := quantumflow._now();
  v_paused_at timestamptz;
begin
  loop
    insert into quantumflow.pauses (kind, name, paused_at, paused_by, on_behalf_of, reason)
    values (p_kind, p_name, v_now, quantumflow._actor(), quantumflow._on_behalf_of(), quantumflow._cut(p_reason))
    on conflict do nothing;

    if found then
      perform quantumflow._record_pause(p_what, p_kind, p_name, p_reason, v_now);

      return v_now;
    end if;

    select p.paused_at
    into v_paused_at
    from quantumflow.pauses p
    where (p.kind, p.name) = (p_kind, p_name);

    -- Else somebody has just resumed it.
    if found then
      return v_paused_at;
    end if;
  end loop;
end
$_pause$;

comment on function quantumflow._pause(text, text, text, text) is
'Pauses a queue, a flow or a command, and returns since when it is paused. p_what: the public
function; p_kind: queue, workflow or command.';

create function quantumflow._end_pause(p_what text, p_kind text, p_name text, p_reason text)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_end_pause$
begin
  -- Waits for claims that are parking something for it, so that the next statement sees what they have parked.
  delete from quantumflow.pauses p
  where (p.kind, p.name) = (p_kind, p_name);

  if not found then
    return false;
  end if;

  perform quantumflow._record_pause(p_what, p_kind, p_name, p_reason, quantumflow._now());

  return true;
end
$_end_pause$;

comment on function quantumflow._end_pause(text, text, text, text) is 'Ends the pause of a queue, a flow or a command; whether there was one.';

create function quantumflow._record_pause(p_what text, p_kind text, p_name text, p_reason text, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_record_pause$
begin
  perform quantumflow._record_act(
    p_what, p_now, case p_kind when 'workflow' then p_name end, p_reason => p_reason,
    p_detail => case when p_kind <> 'workflow' then jsonb_build_object(p_kind, p_name) end);
end
$_record_pause$;

comment on function quantumflow._record_pause(text, text, text, text, timestamptz) is
'Writes down that somebody has paused or resumed a queue, a flow or a command.';

create function quantumflow._show_due(p_queue text, p_commands text[], p_now timestamptz)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_show_due$
declare
  v_due bigint;
begin
  if p_commands = '{}' or quantumflow._hold_queue(p_queue) is null then
    return 0;
  end if;

  v_due := quantumflow._count_due(p_queue, p_commands, p_now);

  -- Whoever was idle does not know of any of them, however long they have waited.
  if v_due > 0 and quantumflow._limit('notify') = 1 and pg_notification_queue_usage() < 0.5 then
    perform pg_notify('quantumflow', p_queue);
  end if;

  return v_due;
end
$_show_due$;

comment on function quantumflow._show_due(text, text[], timestamptz) is
'How many messages of these commands can be claimed from a queue, which is paused no more, and wakes those who can.';
