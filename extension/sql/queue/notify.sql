create function quantumflow._notify(p_queue text, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_notify$
begin
  -- Where something has waited for longer than it takes to be woken, nobody is idle. A commit that notifies waits for all others.
  if quantumflow._limit('notify') = 1
    and coalesce(quantumflow._oldest_vt(p_queue, p_now) > p_now - interval '100 ms', true)
  then
    perform pg_notify('quantumflow', p_queue);
  end if;
end
$_notify$;

comment on function quantumflow._notify(text, timestamptz) is
'Wakes workers that listen on channel quantumflow, with the queue''s name, once the transaction commits: unless the setting notify is
0, or the queue has a backlog. To be called before messages are sent.';
