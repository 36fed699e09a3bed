create function quantumflow._refuse_nulls(p_arguments jsonb)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_nulls$
declare
  v_name text;
begin
  select a.key
  into v_name
  from jsonb_each(p_arguments) as a
  where a.value = 'null'
  order by a.key
  limit 1;

  if found then
    raise exception '% must not be null', v_name
    using
      errcode = 'QF101',
      detail = format('The argument "%s" is null.', v_name),
      hint = 'Give it a value, or leave it out if it has a default.';
  end if;
end
$_refuse_nulls$;

comment on function quantumflow._refuse_nulls(jsonb) is
'Raises when one of the named arguments is null.

Errors: QF101 when one is.';

create function quantumflow.create_flow(
  workflow_slug text,
  title         text default null,
  max_attempts  int default 3,
  max_lost      int default 3,
  retry_delay   interval default '1 s',
  timeout       interval default '60 s',
  queue         text default 'quantum_flow_queue',
  on_complete   text default null,
  on_failure    text default null,
  options       jsonb default '{}'
)
returns quantumflow.workflow_versions
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $create_flow$
declare
  v_settings jsonb;
  v_steps    jsonb;
begin
  v_settings := jsonb_build_object(
    'max_attempts', create_flow.max_attempts,
    'max_lost', create_flow.max_lost,
    'retry_delay', extract(epoch from create_flow.retry_delay),
    'timeout', extract(epoch from create_flow.timeout),
    'queue', create_flow.queue
  );

  perform quantumflow._refuse_nulls(
    v_settings || jsonb_build_object('workflow_slug', create_flow.workflow_slug, 'options', create_flow.options)
  );
  perform quantumflow._hold_flow(create_flow.workflow_slug, p_may_be_new => false);

  select v.definition -> 'steps'
  into v_steps
  from quantumflow.workflows w
  join quantumflow.workflow_versions v
    on v.workflow_slug = w.workflow_slug
    and v.version = w.current_version
  where w.workflow_slug = create_flow.workflow_slug;

  -- Nobody can tell a default that was given from one that was not: defaults are left out.
  select coalesce(jsonb_object_agg(s.key, s.value), '{}')
  into v_settings
  from jsonb_each(v_settings) as s
  where s.value <> quantumflow._default_settings() -> s.key;

  return quantumflow._store_definition(
    quantumflow._with_options(
      v_settings
        || jsonb_build_object('slug', create_flow.workflow_slug, 'steps', coalesce(v_steps, '[]'))
        || jsonb_strip_nulls(jsonb_build_object(
          'title', create_flow.title,
          'on_complete', create_flow.on_complete,
          'on_failure', create_flow.on_failure
        )),
      create_flow.options
    ),
    p_may_be_empty => true
  );
end
$create_flow$;

comment on function quantumflow.create_flow(text, text, int, int, interval, interval, text, text, text, jsonb) is
'Creates a workflow without steps, or changes the settings of one and keeps its steps.

The settings are what steps use that have none of their own: max_attempts and max_lost from 1 to 1,000,000,
retry_delay from 0 and timeout from 1 ms to ten years (a month counts 30 days). on_complete and on_failure
are commands to run when a run ends. options has the keys of a flow in a definition for which there is no argument, or whose argument
has its default. The same call again changes nothing. Other values replace those of the current version while no run has used it,
and make the next version otherwise.
Errors: QF101 an argument that is null or out of range; QF102 unknown key, or one in options that is given already;
QF103 bad or reserved slug; QF110 bad queue name; QF114 a workflow whose slug differs only in case;
QF115 a definition that is too large; QF402 pgmq is missing or too old; QF403 a queue that holds messages of somebody else.';
