create function quantumflow._notify(p_queue text, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_notify$
begin
  -- Idle workers look at least once a second. So where something has waited for longer, nobody is idle; and a commit that notifies
  -- keeps all others that do waiting while it is written to disk.
  if quantumflow._limit('notify') = 1
    and coalesce(quantumflow._oldest_vt(p_queue, p_now) > p_now - interval '1 s', true)
  then
    perform pg_notify('quantumflow', p_queue);
  end if;
end
$_notify$;

comment on function quantumflow._notify(text, timestamptz) is
'Wakes workers that listen on channel quantumflow, with the queue''s name, once the transaction commits: unless the setting notify is
0, or the queue has a backlog. To be called before messages are sent, or shown.

A worker that listens must look by itself, too: nobody is told of delays that end, nor, for a second, of what is sent behind them.';
