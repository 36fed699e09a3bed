create function quantumflow._examine_pauses(p_now timestamptz)
returns setof quantumflow.finding
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_examine_pauses$
begin
  return query
  select
    format('%s %s', p.kind, p.name),
    case when p.paused_at < p_now - interval '1 day' then 'warning' else 'ok' end,
    format('it is paused since %s, by %s', date_trunc('second', p.paused_at), coalesce(p.on_behalf_of, p.paused_by))
      || coalesce(': ' || p.reason, ''),
    case
      when p.paused_at < p_now - interval '1 day'
      then format(
        case p.kind
          when 'queue' then 'If that was forgotten: select quantumflow.resume_queue(%L).'
          when 'workflow' then 'If that was forgotten: select quantumflow.resume_flow(%L).'
          else 'If that was forgotten: select quantumflow.resume_command(%L).'
        end,
        p.name)
    end
  from quantumflow.pauses p
  order by p.kind, p.name;
end
$_examine_pauses$;

comment on function quantumflow._examine_pauses(timestamptz) is
'doctor(): what is paused, and by whom; a warning after a day.';
