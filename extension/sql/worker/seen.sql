create function quantumflow._worker_seen(p_worker_id uuid, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_worker_seen$
begin
  perform
  from quantumflow.workers w
  where w.worker_id = p_worker_id
    and w.last_seen_at < p_now - interval '5 s'
  for no key update skip locked;

  if found then
    update quantumflow.workers w
    set last_seen_at = p_now
    where w.worker_id = p_worker_id;
  end if;
end
$_worker_seen$;

comment on function quantumflow._worker_seen(uuid, timestamptz) is
'Refreshes a registered worker''s last_seen_at, at most every 5 s and never waiting for the row.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._is_silent(p_last_seen_at timestamptz, p_now timestamptz)
returns boolean
language sql
immutable
return p_last_seen_at < p_now - interval '1 min';

comment on function quantumflow._is_silent(timestamptz, timestamptz) is
'Whether a worker was not seen for so long that it is taken for dead: a minute, in which it says four times that it is there.';
