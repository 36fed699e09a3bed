-- A queue has a lane for each command, and its index is one on command and vt. So a claim finds the work of its commands behind any amount
-- of others', and reads nothing that it cannot take:
--
--     lane     vt --->
--     charge   [ m m m m m m m m m m m m m m m m m m m m m m m m ... ] | now | [ m m ]     nobody who is there has this command
--     print                               [ m m ]                      | now |             a claim of print and mail reads these:
--     mail                            [ m ]   [ m m ]                  | now | [ m ]       five, merged by vt
--              [ m ]                                                           names none: somebody has sent it by hand; see sweep
--
-- The index has a hash of the command, since its entries are written to the log with each claim. The command is compared besides. For the
-- same reason a message names its command only where that is not the name of its step, as which a step's command is taken unless it has
-- another.

create function quantumflow._lane()
returns text
language sql
immutable
return 'hashtext(COALESCE((message ->> ''command''::text), (message ->> ''step_name''::text), ''''::text))';

comment on function quantumflow._lane() is
'The first column of a queue''s index, as an expression over its table, in the words in which PostgreSQL shows it. A query must say the
same, or is not answered by the index.';

create function quantumflow._lane_of(p_message jsonb)
returns int
language sql
immutable
return hashtext(coalesce(p_message ->> 'command', p_message ->> 'step_name', ''));

comment on function quantumflow._lane_of(jsonb) is
'The lane of a message: the same as _lane(), for statements that name their table. It is inlined, so that the index answers them.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._command_of(p_message jsonb)
returns text
language sql
immutable
return coalesce(p_message ->> 'command', p_message ->> 'step_name');

comment on function quantumflow._command_of(jsonb) is
'The command of a message, whose hash is its lane; null of one that names neither a command nor a step.';

create function quantumflow._has_lanes(p_table regclass)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_has_lanes$
begin
  return exists (
    select
    from pg_index i
    join pg_attribute a
      on a.attrelid = i.indrelid
      and a.attnum = i.indkey[1]
    where i.indrelid = p_table
      and i.indnatts = 2
      and pg_get_expr(i.indexprs, i.indrelid) = quantumflow._lane()
      and a.attname = 'vt'
      and i.indpred is null
      and i.indisvalid
  );
end
$_has_lanes$;

comment on function quantumflow._has_lanes(regclass) is
'Whether a queue''s table has the index by which claims find the messages of a command.';

create function quantumflow._make_lanes(p_queue text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_make_lanes$
declare
  v_table regclass := quantumflow._queue_table(p_queue);
  v_name  text := 'q_' || p_queue || '_vt_idx';
  v_index regclass;
begin
  -- Whose table it is may make an index on it, nobody else.
  if v_table is null
    or quantumflow._has_lanes(v_table)
    or not (select pg_has_role(c.relowner, 'usage') from pg_class c where c.oid = v_table)
  then
    return;
  end if;

  execute format('lock table pgmq.%I in access exclusive mode', 'q_' || p_queue);

  -- Somebody else may have made it first, or have put another table in its place.
  if quantumflow._queue_table(p_queue) is distinct from v_table or quantumflow._has_lanes(v_table) then
    return;
  end if;

  for v_index in
    select i.indexrelid
    from pg_index i
    join pg_attribute a
      on a.attrelid = i.indrelid
      and a.attnum = i.indkey[0]
    where i.indrelid = v_table
      and i.indnatts = 1
      and i.indpred is null
      and a.attname = 'vt'
  loop
    execute format('drop index %s', v_index);
  end loop;

  -- Under the name of pgmq's, which then makes no other; unless something else has it.
  execute format(
    'create index %s on pgmq.%I (%s, vt)',
    case when to_regclass(format('pgmq.%I', v_name)) is null then quote_ident(v_name) end, 'q_' || p_queue, quantumflow._lane());
end
$_make_lanes$;

comment on function quantumflow._make_lanes(text) is
'Puts the index of lanes in the place of pgmq''s index on vt, which only told since when a message is visible, unless it is there or
the table is somebody else''s. Takes the table for itself.';

create function quantumflow._name_live_commands(p_queue text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_name_live_commands$
begin
  -- Most queues have no such step.
  if not exists (select from quantumflow.workflow_steps w where w.queue = p_queue and w.command <> w.step_slug) then
    return;
  end if;

  execute format(
    $$
    update pgmq.%I q
    set message = q.message || jsonb_build_object('command', w.command)
    from quantumflow.step_tasks t
    join quantumflow.workflow_runs r
      on r.id = t.run_id
    join quantumflow.workflow_steps w
      on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, t.step_slug)
    where t.queue = $1
      and t.status in ('queued', 'started')
      and t.message_id = q.msg_id
      and t.run_id::text = q.message ->> 'workflow_run_id'
      and w.command <> quantumflow._command_of(q.message)
    $$,
    'q_' || p_queue)
  using p_queue;
end
$_name_live_commands$;

comment on function quantumflow._name_live_commands(text) is
'Lets the messages of live tasks name the command of their step where that is not the step''s name: those of versions before 0.4.0 name none.
The caller has the queue for itself.';

create function quantumflow._name_commands(p_queue text, p_msg_ids bigint[], p_commands text[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_name_commands$
begin
  if cardinality(p_msg_ids) > 0 then
    execute format(
      $$
      update pgmq.%1$I q
      set message = q.message || jsonb_build_object('command', c.command)
      from (
        select k.command, l.part, l.tid
        from unnest($1, $2) k (msg_id, command)
        cross join lateral (
          select m.tableoid as part, m.ctid as tid
          from pgmq.%1$I m
          where m.msg_id = k.msg_id
          limit 1
        ) l
      ) c
      where q.tableoid = c.part
        and q.ctid = c.tid
      $$,
      'q_' || p_queue)
    using p_msg_ids, p_commands;
  end if;
end
$_name_commands$;

comment on function quantumflow._name_commands(text, bigint[], text[]) is
'Puts messages that name another command than their steps'' into the right lanes, at their places. The caller holds them.';

create function quantumflow._lanes_of(p_queue text)
returns text[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_lanes_of$
begin
  -- From one command to the next along the index, however many steps name it.
  return array(
    with recursive named as (
      (
        select w.command
        from quantumflow.workflow_steps w
        where w.queue = p_queue
        order by w.command
        limit 1
      )
      union all
      select (
        select w.command
        from quantumflow.workflow_steps w
        where w.queue = p_queue
          and w.command > n.command
        order by w.command
        limit 1
      )
      from named n
      where n.command is not null
    )
    select n.command
    from named n
    where n.command is not null
  );
end
$_lanes_of$;

comment on function quantumflow._lanes_of(text) is 'The lanes of a queue: the commands that steps have it for, each once.';
