create function quantumflow.configure(setting text, value text)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $configure$
declare
  v_limit  record;
  v_before text;
begin
  select *
  into v_limit
  from quantumflow._limits() l
  where l.name = configure.setting;

  if not found then
    raise exception 'setting "%" cannot be configured', coalesce(left(configure.setting, 80), 'null')
    using
      errcode = 'QF503',
      detail = (select 'These can: ' || string_agg(l.name, ', ') || '.' from quantumflow._limits() l),
      hint = 'Whoever owns quantumflow can change other rows of quantumflow.settings with SQL.';
  end if;

  if configure.value !~ '^[0-9]{1,18}$' or configure.value::numeric not between v_limit.low and v_limit.high then
    raise exception '% must be a whole number from % to %', v_limit.name, v_limit.low, v_limit.high
    using
      errcode = 'QF504',
      detail = format('The value is "%s".', left(configure.value, 80)),
      hint = format('Null sets it back to %s.', v_limit.usual);
  end if;

  v_before := quantumflow._limit(v_limit.name)::text;

  if configure.value is null then
    delete from quantumflow.settings s
    where s.name = v_limit.name;
  else
    insert into quantumflow.settings as s (name, value)
    values (v_limit.name, configure.value::bigint::text)
    on conflict on constraint settings_pkey do update
    set value = excluded.value;
  end if;

  perform quantumflow._record_act(
    'configure', quantumflow._now(),
    p_detail => jsonb_build_object('setting', v_limit.name, 'before', v_before, 'value', configure.value));

  return quantumflow._limit(v_limit.name)::text;
end
$configure$;

comment on function quantumflow.configure(text, text) is
'Sets a limit, for everybody and from the next call on, and returns the value in force; a null value sets it back to the usual one.

max_steps: steps of a definition; usually 10,000. max_depth: steps in its longest chain; 1,000.
max_definition_bytes: its size; 4 MB (4194304). max_map_items: items that a map maps over; 1,000,000, at most 2,000,000.
max_input_bytes: the size of a run''s input; 64 MB (67108864). max_headers_bytes: the size of its headers, which each message of
the run carries; 8 kB (8192), at most 32 kB.
max_output_bytes: the size of a task''s output; 64 MB. What exceeds it fails the task without another attempt.
max_error_bytes: the size of an error''s text, and of its details; 128 kB (131072). A longer text is cut.
max_condition_bytes: the size of a step''s input of which an "if" is asked; 1 MB (1048576), at least 64 kB. Of a larger one it is unknown.
max_signals: how many signals a run may be sent; 10,000. max_iterations: what a loop''s max_iterations may be at most; 100,000.
max_run_depth: how many runs deep a run may be below the one that nobody else started, 1 to 100; 10. max_tree_runs: how many runs such a run and
all below it may be, 1 to 100,000,000; 100,000. A step that would exceed one of them fails.
max_plans: how many plans a run, and what it started, may come to; 100. Ten times as many rules are tried for a goal.
max_plan_steps: how many tasks a goal or a plan may come to; 1,000.
orchestrator.max_depth: how deep goals may be nested; 10. orchestrator.timeout_ms: how many milliseconds a decomposer may take; 60,000.
max_progress_bytes: the size of a note of report_progress; 4 kB (4096). A longer one is cut.
notify: 1, as usual, lets new work wake workers that listen on channel quantumflow; with 0 they find it when they next look.
Sizes are in the bytes that PostgreSQL keeps a value in before it compresses them. What is there already stays.

Errors: QF503 unknown setting, or one that only the owner can change; QF504 bad value of a setting.';
