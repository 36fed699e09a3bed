create function quantumflow._examine_queues(p_now timestamptz)
returns setof quantumflow.finding
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_examine_queues$
declare
  v_queue   text;
  v_visible bigint;
  v_hidden  bigint;
  v_oldest  timestamptz;
begin
  for v_queue in
    select *
    from quantumflow._named_queues()
  loop
    if quantumflow._hold_queue(v_queue) is null
      or quantumflow._flaw_of(to_regclass(format('pgmq.%I', 'q_' || v_queue))) is not null
      or quantumflow._flaw_of(to_regclass(format('pgmq.%I', 'a_' || v_queue))) is not null
    then
      return query
      select
        'queue ' || v_queue, 'error',
        case
          when quantumflow._is_there(v_queue) then 'the queue cannot be trusted: ' || coalesce(
            quantumflow._flaw_of(to_regclass(format('pgmq.%I', 'q_' || v_queue))),
            quantumflow._flaw_of(to_regclass(format('pgmq.%I', 'a_' || v_queue))))
          else 'the queue does not exist'
        end,
        case
          when quantumflow._is_there(v_queue)
          then format(
            'Nobody touches it. If it is to be quantumflow''s, have that undone: drop the trigger or rule, or give the table to role "%s"; else '
            'have it dropped. Then run: select quantumflow.setup(), and select * from quantumflow.repair(false).', current_user)
          else 'Run: select quantumflow.setup(); and, if it has had tasks: select * from quantumflow.repair(false).'
        end;
      continue;
    end if;

    if quantumflow._missing_columns(quantumflow._queue_table(v_queue)) is not null then
      return query
      select
        'queue ' || v_queue, 'error',
        'its table is not that of pgmq: it has no ' || quantumflow._missing_columns(quantumflow._queue_table(v_queue)),
        'A dump of an old pgmq was restored. Stop the workers and run: select * from quantumflow.rebuild_queues().';
      continue;
    end if;

    execute format(
      'select count(*) filter (where q.vt <= $1), count(*) filter (where q.vt > $1), '
      'min(q.vt) filter (where q.vt <= $1) from pgmq.%I q',
      'q_' || v_queue)
    using p_now
    into v_visible, v_hidden, v_oldest;

    return query
    select
      'queue ' || v_queue,
      case when quantumflow._has_lanes(quantumflow._queue_table(v_queue)) then 'ok' else 'warning' end,
      format('%s messages visible, %s hidden', v_visible, v_hidden)
        || coalesce(', the oldest visible for ' || date_trunc('second', p_now - v_oldest), '')
        || case
          when quantumflow._has_lanes(quantumflow._queue_table(v_queue)) then ''
          else '; it has no index on commands, so claims read what waits of others'
        end,
      case
        when not quantumflow._has_lanes(quantumflow._queue_table(v_queue))
        then format('As the owner of the table: create index on pgmq.%I (%s, vt);', 'q_' || v_queue, quantumflow._lane())
      end;
  end loop;
end
$_examine_queues$;

comment on function quantumflow._examine_queues(timestamptz) is 'doctor(): the queues, and what waits in them.';
