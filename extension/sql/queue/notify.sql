create function quantumflow._notify(p_queue text, p_commands text[], p_now timestamptz)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_notify$
declare
  v_command text;
begin
  -- Idle workers look at least once a second: where work of a command has waited for longer, nobody who has it is idle, so there is
  -- nobody to wake. And to notify has a price: commits that do are written to disk one after the other.
  -- When the server's queue for notifications is half full, nobody is told either. One forgotten listener of any database can fill it,
  -- and once it is full, no transaction that notifies can commit.
  if exists (select from quantumflow.settings s where s.name = 'notify' and s.value::int = 0) or pg_notification_queue_usage() >= 0.5 then
    return false;
  end if;

  foreach v_command in array p_commands loop
    if not quantumflow._is_ahead(p_queue, array[v_command], p_now - interval '1 s', p_now) then
      -- As an expression, which costs less than to perform it.
      return pg_notify('quantumflow', p_queue) is not null;
    end if;
  end loop;

  return false;
end
$_notify$;

comment on function quantumflow._notify(text, text[], timestamptz) is
'Wakes workers that listen on channel quantumflow, with the queue''s name, once the transaction commits: unless the setting notify is
0, the commands of the new work all have a backlog in the queue, or the server''s queue for notifications is half full. To be called before messages are sent, or shown,
by who holds the queue. Returns whether they are woken.

A worker that listens must look by itself, too: nobody is told of delays that end, nor, for a second, of what is sent behind them.';
