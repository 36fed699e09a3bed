-- Where the visible messages of a queue begin. A read walks its lanes of the index from their beginnings. A message that was claimed,
-- delayed or removed leaves its old entry there, which vacuum removes later, but not while some transaction keeps an old snapshot (a
-- report, a backup, somebody's forgotten begin). Then every read walks over all of them, and a queue that is worked on for an hour beside
-- such a snapshot becomes slower and slower:
--
--     vt  --->        dead entries                     visible                not yet visible
--         [ x x x x x x x x x x x x x x x x x x ] [ m m m m m m m ] | now | [ m m m m m m m ]
--         ^ a read begins here, and passes          ^ the front: where the next reads of this session begin,
--           them all to find the first m              until their time is over and one begins at the beginning again
--
-- Only a read that passed more than 2,000 entries notes a front, so where nothing piles up nothing is noted. That is a session's memory
-- and nothing else: what gets a vt before the front meanwhile is found later, by at most a tenth of a second for 50,000 dead entries.

create function quantumflow._entries_read(p_queue text)
returns bigint
language sql
volatile
return coalesce(pg_stat_get_xact_tuples_returned(to_regclass(format('pgmq.%I', 'q_' || p_queue || '_vt_idx'))), 0);

comment on function quantumflow._entries_read(text) is
'How many entries of the queue''s index of lanes this transaction has read, dead ones too; 0 where PostgreSQL does not count.';

create function quantumflow._front_name(p_queue text, p_commands text[])
returns text
language sql
stable
return 'quantumflow.front_' || p_queue || coalesce('_' || to_hex(hashtext(p_commands::text)), '');

comment on function quantumflow._front_name(text, text[]) is
'The setting that notes where the visible messages of these commands begin in a queue; null: those of all.';

create function quantumflow._noted_front(p_note text, p_now timestamptz)
returns timestamptz
language plpgsql
stable
strict
set search_path = pg_catalog, pg_temp
as $_noted_front$
declare
  v_noted numeric[] := p_note::numeric[];
begin
  if extract(epoch from p_now) between v_noted[1] and v_noted[2] then
    return to_timestamp(v_noted[1]);
  end if;

  return '-infinity'::timestamptz;
end
$_noted_front$;

comment on function quantumflow._noted_front(text, timestamptz) is
'What _remember_front has noted, as long as it counts; -infinity after that.';

-- Without a path of its own, so that it is inlined where it is called: nearly always nothing is noted.
create function quantumflow._front(p_queue text, p_commands text[], p_now timestamptz)
returns timestamptz
language sql
stable
return coalesce(
  quantumflow._noted_front(nullif(current_setting(quantumflow._front_name(p_queue, p_commands), true), ''), p_now),
  '-infinity');

comment on function quantumflow._front(text, text[], timestamptz) is
'From which vt on this session is to look for visible messages of these commands, or of all: -infinity, or what _remember_front has noted.';

create function quantumflow._remember_front(
  p_queue    text,
  p_commands text[],
  p_front    timestamptz,
  p_oldest   timestamptz,
  p_passed   bigint,
  p_now      timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_remember_front$
declare
  v_name  text := quantumflow._front_name(p_queue, p_commands);
  v_first timestamptz := coalesce(p_oldest, p_now);
  v_until numeric;
begin
  if p_front > '-infinity' then
    v_until := (current_setting(v_name)::numeric[])[2];
  else
    v_until := extract(epoch from p_now) + 0.000002 * p_passed;
  end if;

  -- The front stays 100 ms behind the first message, for a sender reads the clock some time before it commits. Unless there are so many
  -- dead entries in these 100 ms that every read would pass more than 2,000 of them again.
  if p_front = '-infinity' or p_passed <= 2000 then
    v_first := greatest(p_front, v_first - interval '100 ms');
  end if;

  perform set_config(v_name, array[extract(epoch from v_first), v_until]::text, false);
end
$_remember_front$;

comment on function quantumflow._remember_front(text, text[], timestamptz, timestamptz, bigint, timestamptz) is
'Notes, in a setting of this session, where the visible messages of these commands begin in a queue, since many dead index entries lie before them.

They pile up while some transaction keeps an old snapshot: no vacuum may remove them, and to pass one by takes about 0.2 us.
p_front: from where was read. p_oldest: the vt of the first message found. p_passed: how many entries were read. The next
reads begin 100 ms before that message, until 2 us for each entry passed are over; then one begins at the beginning. So that costs a
tenth of the time at most, and what has a vt before the front (by its priority, a release, a slow commit) is overlooked for no longer
than that.';
